/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/map-inside.h"
#include "lib/sealed.h"
#include "util/util.h"

/* n items of this size from the offset on lie in size bytes. */
static bool fits(uint64_t offset, uint64_t n, size_t item, uint64_t size)
{
	return offset % sizeof(uint64_t) == 0 && offset <= size && n <= (size - offset) / item;
}

static bool counts_fit(const struct shmstate_map_header *h)
{
	uint64_t left = h->count;

	for (int i = 0; i < SHMSTATE_STATES; i++) {
		if (h->counts[i] > left)
			return false;
		left -= h->counts[i];
	}
	return left == 0;
}

static int check_header(const struct shmstate_map_header *h, uint64_t file_size)
{
	uint64_t pages;

	if (h->magic != SHMSTATE_MAP_MAGIC)
		return -EBADMSG;
	if (h->version != SHMSTATE_MAP_VERSION)
		return -EPROTONOSUPPORT;
	if (h->size < sizeof(*h) || h->size > file_size)
		return -EBADMSG;
	if (h->page_size == 0 || (h->page_size & (h->page_size - 1)) != 0)
		return -EBADMSG;
	pages = h->object_size / h->page_size + (h->object_size % h->page_size != 0);
	/* More may have moved than there are: of an object that has become smaller. */
	if (h->first > pages || h->count > pages - h->first)
		return -EBADMSG;
	if (h->segments < sizeof(*h) || h->blocks < sizeof(*h) ||
	    !fits(h->segments, h->n_segments, sizeof(struct shmstate_map_segment), h->size) ||
	    !fits(h->blocks, h->n_blocks, sizeof(struct shmstate_map_block), h->size))
		return -EBADMSG;
	return counts_fit(h) ? 0 : -EBADMSG;
}

/* They follow each other, cover the range and no more, and have the blocks that they name. */
static int check_segments(const struct shmstate_map *map)
{
	const struct shmstate_map_header *h = &map->header;
	uint64_t at = h->first / BLOCK_PAGES;
	uint64_t end = h->count > 0 ? (h->first + h->count - 1) / BLOCK_PAGES + 1 : at;

	for (uint64_t i = 0; i < h->n_segments; i++) {
		const struct shmstate_map_segment *s = &map->segments[i];

		if (s->first != at || s->count == 0 || s->count > end - at)
			return -EBADMSG;
		if (s->block != SHMSTATE_MAP_UNIFORM &&
		    (s->block > h->n_blocks || s->count > h->n_blocks - s->block))
			return -EBADMSG;
		at += s->count;
	}
	return at == end ? 0 : -EBADMSG;
}

static int map_memory(int fd, struct shmstate_map *map)
{
	struct shmstate_map_header h;
	uint64_t size;
	int r = sealed_read(fd, &h, sizeof(h), &size);

	if (r >= 0)
		r = check_header(&h, size);
	if (r >= 0)
		r = sealed_map(fd, h.size, &map->memory);
	if (r < 0)
		return r;
	map->header = h;
	map->segments = (const void *)((const char *)map->memory + h.segments);
	map->blocks = (const void *)((const char *)map->memory + h.blocks);
	return 0;
}

int shmstate_map_open(int fd, struct shmstate_map **ret)
{
	struct shmstate_map *map;
	int r;

	if (!ret)
		return -EINVAL;
	map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->memory = MAP_FAILED;
	r = map_memory(fd, map);
	if (r >= 0)
		r = check_segments(map);
	if (r < 0) {
		shmstate_map_free(map);
		return r;
	}
	*ret = map;
	return 0;
}

struct shmstate_map *shmstate_map_free(struct shmstate_map *map)
{
	if (!map)
		return NULL;
	if (map->memory != MAP_FAILED)
		munmap(map->memory, (size_t)map->header.size);
	free(map);
	return NULL;
}

uint64_t shmstate_map_page_size(const struct shmstate_map *map)
{
	return map->header.page_size;
}

uint64_t shmstate_map_object_size(const struct shmstate_map *map)
{
	return map->header.object_size;
}

uint64_t shmstate_map_first(const struct shmstate_map *map)
{
	return map->header.first;
}

uint64_t shmstate_map_count(const struct shmstate_map *map)
{
	return map->header.count;
}

uint64_t shmstate_map_moved(const struct shmstate_map *map)
{
	return map->header.moved;
}

int shmstate_map_is_stable(const struct shmstate_map *map)
{
	return (map->header.flags & SHMSTATE_MAP_STABLE) != 0;
}

int shmstate_map_is_incomplete(const struct shmstate_map *map)
{
	return (map->header.flags & SHMSTATE_MAP_INCOMPLETE) != 0;
}

int shmstate_map_is_settled(const struct shmstate_map *map)
{
	return (map->header.flags & SHMSTATE_MAP_SETTLED) != 0;
}

uint64_t shmstate_map_generation(const struct shmstate_map *map)
{
	return map->header.generation;
}

uint64_t shmstate_map_pages(const struct shmstate_map *map, int state)
{
	return state >= 0 && state < SHMSTATE_STATES ? map->header.counts[state] : 0;
}
