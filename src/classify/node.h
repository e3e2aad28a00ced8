/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A node of the page cache in, the states of its 64 pages out. Pure. Which entries are in the swap
 * cache, or not in any swap at all, is not in the words: the caller finds out, for the entries.
 */

#include "classify/words.h"
#include "model/state_map.h"

/* Bit k is about page first + k. */
struct node {
	uint64_t folio;
	uint64_t allocated; /* those of them that were never written */
	uint64_t entry;     /* swap entries and poison */
	uint64_t sibling;   /* pages of larger entries or folios, but for their first ones */
	uint64_t retry;     /* caught in the middle of a change: read the node again */
	uint64_t any;       /* as in struct word_masks: bits of the entries' words */
	uint64_t all;
};

/* never_written: bit k says that of the folio in slot k; a sibling is what its head is. */
void node_sort(const uint64_t words[WORDS], uint64_t never_written, struct node *ret);

/* All 64 pages lie in one entry, which has this word and begins `before` pages earlier. */
void node_sort_large(uint64_t word, uint64_t before, bool never_written, struct node *ret);

/*
 * The swap entries, each for its own page (a large entry counts up), in entries[k] for the bits of
 * node->entry. Pages of entries that the kernel is splitting this moment are moved to node->retry.
 */
void node_entries(const uint64_t words[WORDS], struct node *node, uint64_t entries[WORDS]);

/* Likewise for node_sort_large(). */
void node_entries_large(uint64_t word, uint64_t before, uint64_t entries[WORDS]);

/* What is known of the entries. Bits outside of node->entry are ignored. */
struct node_swap {
	uint64_t cached;
	uint64_t poison;
	uint64_t unknown;
};

/* Pages that are to be read again come out as unknown. */
void node_states(const struct node *node, const struct node_swap *swap, struct state_block *ret);
