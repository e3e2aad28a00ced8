/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "probe/mapping.h"
#include "probe/mincore.h"
#include "util/util.h"

/* Large enough that remapping costs nothing a page, small enough for any address space. */
#define MAP_PAGES ((uint64_t)1 << 20)

/* The last page offsets below the largest file that Linux knows (MAX_LFS_FILESIZE). */
#define FAR_OFFSET(page_size) \
	((off_t)(INT64_MAX - 1023 * (int64_t)(page_size)) / (page_size) * (page_size))

void mincore_unmap(struct mincore_map *map)
{
	if (map->address)
		munmap(map->address, map->count * map->page_size);
	map->address = NULL;
	map->count = 0;
}

/* Maps in large steps; in smaller ones where address space is short. */
static int mincore_remap(struct mincore_map *map, uint64_t first, uint64_t count)
{
	uint64_t last = INT64_MAX / map->page_size;

	mincore_unmap(map);
	for (uint64_t step = MAP_PAGES;; step /= 8) {
		uint64_t start = step > count ? first / step * step : first;
		uint64_t pages = MIN(MAX(step, first + count - start), last - start);
		void *address = mapping_new(NULL, pages * map->page_size, map->fd,
					    (off_t)(start * map->page_size));

		if (address) {
			map->address = address;
			map->first = start;
			map->count = pages;
			return 0;
		}
		if (errno != ENOMEM || step <= count)
			return -errno;
	}
}

int mincore_read(struct mincore_map *map, uint64_t first, size_t count, unsigned char *vec)
{
	bool inside =
		map->address && first >= map->first && first + count <= map->first + map->count;
	int r;

	if (!inside) {
		r = mincore_remap(map, first, count);
		if (r < 0)
			return r;
	}
	if (mincore((char *)map->address + (first - map->first) * map->page_size,
		    count * map->page_size, vec) < 0)
		return -errno;
	return 0;
}

int mincore_check(int fd, uint64_t page_size)
{
	unsigned char in_core = 1;
	void *address = mapping_new(NULL, page_size, fd, FAR_OFFSET(page_size));
	int r = 0;

	if (!address)
		return -errno;
	if (mincore(address, page_size, &in_core) < 0)
		r = -errno;
	else if (in_core & 1)
		r = -EPERM;
	munmap(address, page_size);
	return r;
}
