/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the state map: the arithmetic of one block, and what readers go over.
 *   state_map-fill.c  appending
 *   state_map.c       reading
 *   delta.c           two of them
 */

#include "model/state_map.h"

/*
 * The baseline of x86-64 has no instruction that counts bits, but every machine in use has: the
 * right code is chosen when the program starts.
 */
#ifdef __has_attribute
#if __has_attribute(target_clones) && defined(__x86_64__) && defined(__GLIBC__)
#define COUNTS_BITS __attribute__((target_clones("popcnt", "default")))
#endif
#endif
#ifndef COUNTS_BITS
#define COUNTS_BITS
#endif

static inline uint64_t map_end(const struct state_map *map)
{
	return map->first + map->count;
}

static inline bool segment_is_uniform(const struct state_segment *segment)
{
	return segment->dense == STATE_SEGMENT_UNIFORM;
}

static inline uint64_t popcount(uint64_t bits)
{
	return (uint64_t)__builtin_popcountll(bits);
}

/* The number of the lowest bit; there must be one. */
static inline uint64_t ctz(uint64_t bits)
{
	return (uint64_t)__builtin_ctzll(bits);
}

/* Bits [from, to) of 64; from < to. */
static inline uint64_t bit_range(uint64_t from, uint64_t to)
{
	return ~(uint64_t)0 << from & ~(uint64_t)0 >> (STATE_BLOCK_PAGES - to);
}

/* All 64 bits as this bit of the state. */
static inline uint64_t spread(unsigned state, int plane)
{
	return -(uint64_t)(state >> plane & 1);
}

static inline void block_fill(struct state_block *b, uint64_t pages, enum page_state state)
{
	for (int i = 0; i < STATE_PLANES; i++)
		b->plane[i] |= pages & spread(state, i);
}

static inline enum page_state block_get(const struct state_block *b, uint64_t page)
{
	unsigned state = 0;

	for (int i = 0; i < STATE_PLANES; i++)
		state |= (unsigned)(b->plane[i] >> page & 1) << i;
	return (enum page_state)state;
}

/* The pages that are not in this state. */
static inline uint64_t block_others(const struct state_block *b, enum page_state state)
{
	uint64_t others = 0;

	for (int i = 0; i < STATE_PLANES; i++)
		others |= b->plane[i] ^ spread(state, i);
	return others;
}

/* The pages of which the next one, in the same block, is in another state. */
static inline uint64_t block_borders(const struct state_block *b)
{
	uint64_t borders = 0;

	for (int i = 0; i < STATE_PLANES; i++)
		borders |= b->plane[i] ^ b->plane[i] >> 1;
	return borders & ~(uint64_t)0 >> 1;
}

static inline bool block_is_uniform(const struct state_block *b)
{
	return block_others(b, block_get(b, 0)) == 0;
}

static inline bool block_equal(const struct state_block *a, const struct state_block *b)
{
	uint64_t differs = 0;

	for (int i = 0; i < STATE_PLANES; i++)
		differs |= a->plane[i] ^ b->plane[i];
	return differs == 0;
}

/* Pages of a block that are in the state. */
static inline uint64_t block_select(const struct state_block *b, enum page_state state)
{
	uint64_t pages = UINT64_MAX;

	for (int i = 0; i < STATE_PLANES; i++)
		pages &= state >> i & 1 ? b->plane[i] : ~b->plane[i];
	return pages;
}

/* A segment, or (behind the last one) the pending block: what readers go over. */
struct span {
	uint64_t block;                   /* the first one */
	uint64_t end;                     /* page */
	const struct state_block *blocks; /* NULL if all are in one state */
	enum page_state state;
};

static inline struct span span_of(const struct state_map *map, size_t i)
{
	const struct state_segment *segment;

	if (i == map->n_segments)
		return (struct span){
			.block = map_end(map) / STATE_BLOCK_PAGES,
			.end = map_end(map),
			.blocks = &map->pending,
		};
	segment = &map->segments[i];
	return (struct span){
		.block = segment->first,
		.end = (segment->first + segment->count) * STATE_BLOCK_PAGES,
		.blocks = segment_is_uniform(segment) ? NULL : &map->dense[segment->dense],
		.state = segment->state,
	};
}

/* The span that holds the page; the last one if it lies behind all. */
static inline size_t find_span(const struct state_map *map, uint64_t page)
{
	size_t low = 0, high = map->n_segments;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (span_of(map, middle).end <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline struct state_block span_block(const struct span *span, uint64_t block)
{
	struct state_block uniform = {0};

	if (span->blocks)
		return span->blocks[block - span->block];
	block_fill(&uniform, ~(uint64_t)0, span->state);
	return uniform;
}
