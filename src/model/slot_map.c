/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "model/slot_map.h"
#include "util/array.h"
#include "util/util.h"

const char *slot_content_to_string(enum slot_content content)
{
	static const char *const names[] = {
		[SLOT_DEVICE] = "device",
		[SLOT_ZERO] = "zero",
		[SLOT_ZSWAP] = "zswap",
		[SLOT_UNKNOWN] = "unknown",
	};

	return names[content];
}

void slot_map_done(struct slot_map *map)
{
	free(map->items);
	for (unsigned k = 0; k < SLOT_TYPES; k++)
		free(map->swaps[k].path);
	*map = (struct slot_map){0};
}

static bool follows_on(const struct slot_extent *a, const struct slot_extent *b)
{
	return a->first + a->count == b->first && a->offset + a->count == b->offset &&
	       a->type == b->type && a->content == b->content && a->cached == b->cached;
}

int slot_map_append(struct slot_map *map, const struct slot_extent *extent)
{
	struct slot_extent *last = map->n_items > 0 ? &map->items[map->n_items - 1] : NULL;
	int r;

	if (extent->count == 0)
		return 0;
	if (last && extent->first < last->first + last->count)
		return -EINVAL;
	if (last && follows_on(last, extent)) {
		last->count += extent->count;
	} else {
		r = ARRAY_RESERVE(&map->items, &map->n_allocated, map->n_items);
		if (r < 0)
			return r;
		map->items[map->n_items++] = *extent;
	}
	map->counts[extent->content] += extent->count;
	if (extent->cached == SLOT_CACHED)
		map->cached += extent->count;
	return 0;
}

void slot_map_replace(struct slot_map *map, enum slot_content from, enum slot_content to)
{
	size_t n = 0;

	for (size_t i = 0; i < map->n_items; i++) {
		struct slot_extent e = map->items[i];

		if (e.content == from)
			e.content = to;
		/* What is written never overtakes what is read. */
		if (n > 0 && follows_on(&map->items[n - 1], &e))
			map->items[n - 1].count += e.count;
		else
			map->items[n++] = e;
	}
	map->n_items = n;
	if (from != to) {
		map->counts[to] += map->counts[from];
		map->counts[from] = 0;
	}
}

const struct slot_extent *slot_map_seek(const struct slot_map *map, uint64_t page)
{
	size_t low = 0, high = map->n_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->items[middle].first + map->items[middle].count <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->n_items ? &map->items[low] : NULL;
}

uint64_t slot_map_located(const struct slot_map *map)
{
	uint64_t pages = 0;

	for (int i = 0; i < SLOT_CONTENT_MAX; i++)
		pages += map->counts[i];
	return pages;
}
