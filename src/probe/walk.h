/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the walk, the exact probe. The order of things:
 *   walk.c          the request: a fast pass over everything, a careful one if need be
 *   walk-careful.c  reads nodes, asks about their swap entries, reads the nodes again
 *   walker.c        the BPF programs
 *   swap-slots.c    what they read of the swaps
 *   swap-trial.c    whether that is what we take it for
 */

#include "classify/node.h"
#include "probe/mincore.h"
#include "probe/probe.h"
#include "probe/prober.h"

/* 64 pages, aligned, read twice. Pages in node.retry did not come to rest. */
struct walk_block {
	uint64_t first;
	struct node node;
	struct node_swap swap;
	uint64_t ask_again;      /* within: entries whose swap is not known yet */
	uint64_t entries[WORDS]; /* swap entries, of the bits of node.entry */
	uint8_t contents[WORDS]; /* likewise, if they were asked for: SWAP_SLOT_ bits */
};

/* The part of a record that lies in the 64 pages from first on; nothing is known of its swap. */
void walk_block_take(const struct walk_record *record, uint64_t first, struct walk_block *ret);

struct walk_range {
	int fd;
	uint64_t first; /* pages */
	uint64_t end;
	bool contents;    /* ask where the content of slots is */
	uint32_t sources; /* out: what was asked about the entries */
	uint64_t moved;   /* out: pages that were not the same in both readings */
};

/* Told of blocks in order; those that hold nothing are left out. Negative stops. */
typedef int (*walk_visit)(void *context, const struct walk_block *block);

/*
 * Every page of the range so that what held still is told right whatever else moves: the slot, then
 * the swap's accounting, then the slot again. (Swap-in puts the folio into the page cache before it
 * takes it out of the swap cache: an entry that is still there did not pass by in between.)
 * Returns 0 or a negative errno.
 */
int walk_careful(struct prober *p, struct walk_range *range, walk_visit visit, void *context);
