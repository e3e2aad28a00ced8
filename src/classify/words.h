/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the words of a page cache node are, 64 at a time. Pure. The inner loop of the walk: it takes
 * an eighth of a nanosecond a word with AVX-512, a quarter with AVX2, one without.
 *
 * A word is nothing (0), a folio (an address), a value (bit 0; here always a swap entry or poison)
 * or internal (bits 10 in binary: a sibling of a larger entry, a node, or "retry").
 */

#include <stdbool.h>
#include <stdint.h>

#include "bpf/entry.h"

#define WORDS 64

/* Bit k is about word k. */
struct word_masks {
	uint64_t used; /* not 0 */
	uint64_t value;
	uint64_t internal;
	uint64_t any; /* bits that are set in any of the values, */
	uint64_t all; /* and in all of them; all ones if there is no value */
};

void words_sort(const uint64_t words[WORDS], struct word_masks *ret);

/* The same without vectors, and with them as far as this CPU has them: for the tests. */
void words_sort_generic(const uint64_t words[WORDS], struct word_masks *ret);
void words_sort_avx2(const uint64_t words[WORDS], struct word_masks *ret);

/* A swap entry, as the kernel packs it into a value. */
#define ENTRY_OFFSET_MASK (((uint64_t)1 << ENTRY_TYPE_SHIFT) - 1)

static inline uint64_t word_to_entry(uint64_t word)
{
	return word >> 1;
}

static inline unsigned entry_type(uint64_t entry)
{
	return (unsigned)(entry >> ENTRY_TYPE_SHIFT);
}

static inline uint64_t entry_offset(uint64_t entry)
{
	return entry & ENTRY_OFFSET_MASK;
}

/* An internal word that says "what word k says", k being the first of a larger entry. */
static inline bool word_is_sibling(uint64_t word)
{
	return (word & 3) == 2 && word < ((WORDS - 1) << 2);
}

static inline unsigned word_to_sibling(uint64_t word)
{
	return (unsigned)(word >> 2);
}
