/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The states of consecutive pages of an object. Stretches in one state cost next to nothing
 * (a sparse object may have 2^39 pages), stretches in which states alternate 3 bits a page: a
 * probe that takes one nanosecond a page cannot afford to write 24 bytes for each extent.
 *
 * Filled from front to back, read as extents. All numbers are pages of the object.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/extent.h"
#include "model/state.h"

#define STATE_BLOCK_PAGES ((uint64_t)64)
#define STATE_PLANES 3

/* Of 64 pages, aligned: bit p of plane b is bit b of the state (enum page_state) of page p. */
struct state_block {
	uint64_t plane[STATE_PLANES];
};

/* A run of blocks, either all in one state or each with planes of its own. */
struct state_segment {
	uint64_t first; /* block number: page / STATE_BLOCK_PAGES */
	uint64_t count; /* blocks */
	size_t dense;   /* where in map->dense the first block is, or STATE_SEGMENT_UNIFORM */
	enum page_state state; /* if uniform */
};

#define STATE_SEGMENT_UNIFORM SIZE_MAX

/*
 * Owns what it points to. An all-zero map is an empty one that starts at page 0. No more than one
 * segment for every two blocks, whatever the states.
 */
struct state_map {
	uint64_t first; /* set it before the first append */
	uint64_t count; /* pages appended so far */
	uint64_t counts[PAGE_STATE_MAX];
	struct state_segment *segments;
	size_t n_segments, n_segments_allocated;
	struct state_block *dense;
	size_t n_dense, n_dense_allocated;
	struct state_block pending; /* the last block as long as it is not full */
};

void state_map_done(struct state_map *map);

/* It is complete, and will be kept: gives back what it has not used. */
void state_map_shrink(struct state_map *map);

/* Pages first + count ... of one state follow. Returns 0, or -ENOMEM with the map as it was. */
int state_map_append(struct state_map *map, uint64_t count, enum page_state state);

/*
 * Whole blocks follow. The fast way: with hundreds at a time less than 0.1 ns a page, and twice as
 * much again for the page faults of memory that was not used before. Returns 0, or with the map as
 * it was -ENOMEM, or -EINVAL if first + count is no multiple of STATE_BLOCK_PAGES.
 */
int state_map_append_blocks(struct state_map *map, const struct state_block *blocks, size_t n);

/* The state of a page that lies in the map. Takes the logarithm of the number of segments. */
enum page_state state_map_get(const struct state_map *map, uint64_t page);

/*
 * Reads on from page `at`. A copy remembers the place; to read elsewhere, seek. The map must not
 * change meanwhile.
 */
struct state_cursor {
	const struct state_map *map;
	uint64_t at;
	size_t segment;
	const struct state_block *block; /* that holds at; NULL in a uniform segment */
	uint64_t borders;                /* of its pages from at on: those that end a run */
};

/* At this page, or at the first of the map if that comes later; at or behind the end: no extents.
 */
struct state_cursor state_map_seek(const struct state_map *map, uint64_t page);

/*
 * The longest run of pages in one state that starts at the cursor. Returns false at the end.
 * Across segments runs are joined: two extents that follow each other differ in state.
 */
bool state_cursor_next(struct state_cursor *cursor, struct extent *ret);

/* Pages in any of the states. */
uint64_t state_map_pages(const struct state_map *map, page_state_mask mask);

/* How many pages differ. A page that only one of them covers differs. */
uint64_t state_map_difference(const struct state_map *a, const struct state_map *b);
/* The same, where x and y pass for the same state. */
uint64_t state_map_difference_but(const struct state_map *a, const struct state_map *b,
				  enum page_state x, enum page_state y);
