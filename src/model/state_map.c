/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "model/state_block.h"
#include "util/util.h"

void state_map_done(struct state_map *map)
{
	free(map->segments);
	free(map->dense);
	*map = (struct state_map){0};
}

static void shrink(void **items, size_t *n_allocated, size_t n, size_t item_size)
{
	void *p = n > 0 ? reallocarray(*items, n, item_size) : NULL;

	if (n == 0)
		free(*items);
	if (n > 0 && !p)
		return;
	*items = p;
	*n_allocated = n;
}

void state_map_shrink(struct state_map *map)
{
	shrink((void **)&map->segments, &map->n_segments_allocated, map->n_segments,
	       sizeof(*map->segments));
	shrink((void **)&map->dense, &map->n_dense_allocated, map->n_dense, sizeof(*map->dense));
}

static enum page_state span_get(const struct span *span, uint64_t page)
{
	if (!span->blocks)
		return span->state;
	return block_get(&span->blocks[page / STATE_BLOCK_PAGES - span->block],
			 page % STATE_BLOCK_PAGES);
}

/* Where the run of pages in this state that holds page `at` ends, as far as the span goes. */
static uint64_t span_run_end(const struct span *span, uint64_t at, enum page_state state)
{
	const struct state_block *b;

	if (!span->blocks)
		return span->end;
	b = &span->blocks[at / STATE_BLOCK_PAGES - span->block];
	for (; at < span->end; b++) {
		uint64_t others = block_others(b, state) >> at % STATE_BLOCK_PAGES;

		if (others != 0) {
			at += ctz(others);
			break;
		}
		at = (at / STATE_BLOCK_PAGES + 1) * STATE_BLOCK_PAGES;
	}
	return MIN(at, span->end);
}

enum page_state state_map_get(const struct state_map *map, uint64_t page)
{
	struct span span = span_of(map, find_span(map, page));

	return span_get(&span, page);
}

/* Where runs end in the block at the cursor: found once for all of them. */
static void cursor_enter(struct state_cursor *cursor, const struct span *span)
{
	uint64_t at = cursor->at;

	cursor->block = NULL;
	cursor->borders = 0;
	if (!span->blocks || at >= span->end)
		return;
	cursor->block = &span->blocks[at / STATE_BLOCK_PAGES - span->block];
	cursor->borders = block_borders(cursor->block) & ~(uint64_t)0 << at % STATE_BLOCK_PAGES;
}

struct state_cursor state_map_seek(const struct state_map *map, uint64_t page)
{
	uint64_t at = MAX(page, map->first);
	struct state_cursor cursor = {.map = map, .at = at, .segment = find_span(map, at)};
	struct span span = span_of(map, cursor.segment);

	cursor_enter(&cursor, &span);
	return cursor;
}

/* The end of a run that reaches the end of its block, or is in a uniform segment. */
static uint64_t next_border(struct state_cursor *cursor, enum page_state *ret_state)
{
	const struct state_map *map = cursor->map;
	struct span span = span_of(map, cursor->segment);
	enum page_state state = span_get(&span, cursor->at);

	for (;;) {
		cursor->at = span_run_end(&span, cursor->at, state);
		if (cursor->at < span.end || cursor->at == map_end(map))
			break;
		span = span_of(map, ++cursor->segment);
		if (span_get(&span, cursor->at) != state)
			break;
	}
	cursor_enter(cursor, &span);
	*ret_state = state;
	return cursor->at;
}

bool state_cursor_next(struct state_cursor *cursor, struct extent *ret)
{
	uint64_t first = cursor->at, end;
	enum page_state state;

	if (first >= map_end(cursor->map))
		return false;
	if (cursor->borders != 0) {
		end = first - first % STATE_BLOCK_PAGES + ctz(cursor->borders) + 1;
		state = block_get(cursor->block, first % STATE_BLOCK_PAGES);
		cursor->borders &= cursor->borders - 1;
		cursor->at = end;
	} else {
		end = next_border(cursor, &state);
	}
	*ret = (struct extent){.first = first, .count = end - first, .state = state};
	return true;
}

uint64_t state_map_pages(const struct state_map *map, page_state_mask mask)
{
	uint64_t pages = 0;

	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (mask & PAGE_STATE_BIT(i))
			pages += map->counts[i];
	return pages;
}

/* Two states that pass for one. */
struct state_pair {
	enum page_state x;
	enum page_state y;
};

static uint64_t block_select_pair(const struct state_block *b, struct state_pair pair)
{
	return block_select(b, pair.x) | block_select(b, pair.y);
}

static bool is_same(enum page_state a, enum page_state b, struct state_pair pair)
{
	return a == b || ((a == pair.x || a == pair.y) && (b == pair.x || b == pair.y));
}

/* How many of the pages [from, to), which lie in both, differ. */
COUNTS_BITS
static uint64_t span_difference(const struct span *x, const struct span *y, struct state_pair pair,
				uint64_t from, uint64_t to)
{
	uint64_t pages = 0;

	if (!x->blocks && !y->blocks)
		return is_same(x->state, y->state, pair) ? 0 : to - from;
	while (from < to) {
		uint64_t block = from / STATE_BLOCK_PAGES, start = block * STATE_BLOCK_PAGES;
		uint64_t end = MIN(start + STATE_BLOCK_PAGES, to), differs = 0;
		struct state_block a = span_block(x, block), b = span_block(y, block);

		for (int i = 0; i < STATE_PLANES; i++)
			differs |= a.plane[i] ^ b.plane[i];
		if (differs)
			differs &= ~(block_select_pair(&a, pair) & block_select_pair(&b, pair));
		pages += popcount(differs & bit_range(from - start, end - start));
		from = end;
	}
	return pages;
}

uint64_t state_map_difference_but(const struct state_map *a, const struct state_map *b,
				  enum page_state x_state, enum page_state y_state)
{
	struct state_pair pair = {x_state, y_state};
	uint64_t at = MAX(a->first, b->first), end = MIN(map_end(a), map_end(b));
	uint64_t pages = a->count + b->count;
	size_t i = find_span(a, at), k = find_span(b, at);

	/* What both cover was counted twice. */
	if (at < end)
		pages -= 2 * (end - at);
	while (at < end) {
		struct span x = span_of(a, i), y = span_of(b, k);
		uint64_t to = MIN(MIN(x.end, y.end), end);

		pages += span_difference(&x, &y, pair, at, to);
		i += x.end == to;
		k += y.end == to;
		at = to;
	}
	return pages;
}

uint64_t state_map_difference(const struct state_map *a, const struct state_map *b)
{
	return state_map_difference_but(a, b, PAGE_HOLE, PAGE_HOLE);
}
