/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "probe/mapping.h"
#include "probe/smaps.h"
#include "util/util.h"

/*
 * smaps lists mappings by address, and makes a record only when it is read: a mapping at the very
 * bottom is found in the first record, without walking the rest of our address space. It is a hint:
 * elsewhere it is found too, only later.
 */
#define LOW_ADDRESS ((void *)0x100000)

/* Reads on until the line "Swap:" of the mapping at address. In kB. */
static int smaps_read_swap(FILE *smaps, const void *address, uint64_t *ret)
{
	unsigned long long start, kilobytes;
	char line[512];
	int ours = 0;

	while (fgets(line, sizeof(line), smaps)) {
		char after;

		if (sscanf(line, "%llx-%*x%c", &start, &after) == 2 && after == ' ')
			ours = start == (uintptr_t)address;
		else if (ours && sscanf(line, "Swap: %llu kB", &kilobytes) == 1) {
			*ret = kilobytes;
			return 0;
		}
	}
	return ferror(smaps) ? -EIO : -ENODATA;
}

static int smaps_of_mapping(const void *address, uint64_t page_size, uint64_t *ret_pages)
{
	char buffer[1024]; /* small: one record a read, see LOW_ADDRESS */
	uint64_t kilobytes;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	int r;

	if (!smaps)
		return -errno;
	setvbuf(smaps, buffer, _IOFBF, sizeof(buffer));
	r = smaps_read_swap(smaps, address, &kilobytes);
	fclose(smaps);
	if (r < 0)
		return r;
	*ret_pages = kilobytes / (page_size / 1024);
	return 0;
}

static int smaps_of_part(int fd, uint64_t page_size, uint64_t first, uint64_t count, uint64_t *ret)
{
	void *address = mapping_new(LOW_ADDRESS, count * page_size, fd, (off_t)(first * page_size));
	int r;

	/* An object larger than the address space is no lack of memory. */
	if (!address)
		return errno == ENOMEM ? -EOVERFLOW : -errno;
	r = smaps_of_mapping(address, page_size, ret);
	munmap(address, count * page_size);
	return r;
}

int smaps_swapped(int fd, uint64_t page_size, uint64_t pages, uint64_t *ret)
{
	if (pages == 0)
		return -ENODATA;
	return smaps_of_part(fd, page_size, 0, pages, ret);
}

int smaps_count_entries(int fd, uint64_t page_size, uint64_t border, uint64_t end, uint64_t *ret)
{
	uint64_t head, tail;
	int r;

	r = smaps_of_part(fd, page_size, 0, border, &head);
	if (r < 0)
		return r;
	r = smaps_of_part(fd, page_size, border, end - border, &tail);
	if (r < 0)
		return r;
	*ret = head + tail;
	return 0;
}

int smaps_count_part(int fd, uint64_t page_size, uint64_t pages, uint64_t first, uint64_t count,
		     uint64_t *ret)
{
	if (first == 0 && count >= pages)
		return -EOPNOTSUPP;
	return smaps_of_part(fd, page_size, first, count, ret);
}
