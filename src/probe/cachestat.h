/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cachestat(2), Linux 6.5 and later: how many slots of a range hold a folio or a swap entry. */

#include <stdint.h>

/* Pages. What is in neither number is empty. */
struct slot_counts {
	uint64_t folios;
	uint64_t entries; /* swap entries, and poison */
	uint64_t recent;  /* of these: left a mark in the swap cache not long ago, so no poison */
};

/*
 * Counts the slots of pages [first, first + count). count == 0 counts from first to the far end of
 * the page cache, beyond the end of the object.
 * Returns 0, -ENOSYS (no such call), -EPERM (denied: residency is a side channel), or other errno.
 */
int cachestat_count(int fd, uint64_t page_size, uint64_t first, uint64_t count,
		    struct slot_counts *ret);
