/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "lib/map-inside.h"

static bool segment_holds(const struct shmstate_map_segment *s, uint64_t block)
{
	return block >= s->first && block - s->first < s->count;
}

/* The segment of a block that lies in the range. The hint is but a guess: others may set it too. */
static uint64_t find_segment(const struct shmstate_map *map, uint64_t block)
{
	uint64_t low = 0, high = map->header.n_segments;
	uint64_t hint = __atomic_load_n(&map->hint, __ATOMIC_RELAXED);

	for (uint64_t i = hint; i < hint + 2 && i < high; i++)
		if (segment_holds(&map->segments[i], block))
			return i;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (map->segments[middle].first <= block)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static unsigned known_state(uint32_t state)
{
	return state < SHMSTATE_STATES ? state : SHMSTATE_UNKNOWN;
}

static unsigned block_get(const struct shmstate_map_block *b, uint64_t bit)
{
	return (unsigned)((b->plane[0] >> bit & 1) | (b->plane[1] >> bit & 1) << 1 |
			  (b->plane[2] >> bit & 1) << 2);
}

/* How many pages from this one on are in the state, within the block. */
static uint64_t block_run(const struct shmstate_map_block *b, uint64_t bit, unsigned state)
{
	uint64_t others = 0;

	for (unsigned i = 0; i < 3; i++)
		others |= b->plane[i] ^ -(uint64_t)(state >> i & 1);
	others >>= bit;
	return others ? (uint64_t)__builtin_ctzll(others) : BLOCK_PAGES - bit;
}

/* The state of a page, and how many from it on are in it as far as this segment goes. */
static unsigned run_in_segment(const struct shmstate_map *map, uint64_t index, uint64_t page,
			       uint64_t *ret_end)
{
	const struct shmstate_map_segment *s = &map->segments[index];
	uint64_t block = page / BLOCK_PAGES, last = s->first + s->count;
	const struct shmstate_map_block *b;
	unsigned state;

	if (s->block == SHMSTATE_MAP_UNIFORM) {
		*ret_end = last * BLOCK_PAGES;
		return known_state(s->state);
	}
	b = &map->blocks[s->block + (block - s->first)];
	state = block_get(b, page % BLOCK_PAGES);
	*ret_end = page + block_run(b, page % BLOCK_PAGES, state);
	while (*ret_end % BLOCK_PAGES == 0 && ++block < last) {
		uint64_t n = block_run(++b, 0, state);

		*ret_end += n;
		if (n == 0)
			break;
	}
	return state;
}

int shmstate_map_get(const struct shmstate_map *map, uint64_t page)
{
	const struct shmstate_map_header *h = &map->header;
	const struct shmstate_map_segment *s;

	if (page < h->first || page - h->first >= h->count)
		return -ERANGE;
	s = &map->segments[find_segment(map, page / BLOCK_PAGES)];
	if (s->block == SHMSTATE_MAP_UNIFORM)
		return (int)known_state(s->state);
	return (int)block_get(&map->blocks[s->block + (page / BLOCK_PAGES - s->first)],
			      page % BLOCK_PAGES);
}

int shmstate_map_next(const struct shmstate_map *map, uint64_t *page, struct shmstate_extent *ret)
{
	uint64_t first = map->header.first, end = first + map->header.count, at, index;
	unsigned state;

	if (*page > first)
		first = *page;
	if (first >= end)
		return 0;
	index = find_segment(map, first / BLOCK_PAGES);
	state = run_in_segment(map, index, first, &at);
	while (at < end &&
	       at / BLOCK_PAGES == map->segments[index].first + map->segments[index].count) {
		uint64_t next_end;

		if (run_in_segment(map, ++index, at, &next_end) != state)
			break;
		at = next_end;
	}
	__atomic_store_n(&((struct shmstate_map *)map)->hint, index, __ATOMIC_RELAXED);
	if (at > end)
		at = end;
	*ret = (struct shmstate_extent){.first = first, .count = at - first, .state = state};
	*page = at;
	return 1;
}
