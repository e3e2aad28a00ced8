/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* lseek(SEEK_DATA / SEEK_HOLE): where a swap entry or an uptodate folio lies. Asks nobody's leave.
 */

#include <stdbool.h>
#include <stdint.h>

/* Pages [first, end) that all have data, or all have none. */
struct seek_run {
	uint64_t first;
	uint64_t end;
	bool data;
};

/*
 * The run that starts at page first, cut at limit (> first). What lies beyond the end of the object
 * has no data. Returns 0 or a negative errno.
 */
int seek_next(int fd, uint64_t page_size, uint64_t first, uint64_t limit, struct seek_run *ret);

/* 1 if every page of [first, end) has data, 0 if not, or a negative errno. */
int seek_all_data(int fd, uint64_t page_size, uint64_t first, uint64_t end);
