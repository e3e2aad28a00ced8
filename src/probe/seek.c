/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "probe/seek.h"
#include "util/util.h"

/* The page where whence stops at or behind first; UINT64_MAX if it stops nowhere (end of object).
 */
static int seek_page(int fd, uint64_t page_size, uint64_t first, int whence, uint64_t *ret)
{
	off_t at = lseek(fd, (off_t)(first * page_size), whence);

	if (at < 0 && errno != ENXIO)
		return -errno;
	/* SEEK_HOLE stops at the very end of the object: in the middle of its last page. */
	*ret = at < 0 ? UINT64_MAX : ((uint64_t)at + page_size - 1) / page_size;
	return 0;
}

int seek_next(int fd, uint64_t page_size, uint64_t first, uint64_t limit, struct seek_run *ret)
{
	uint64_t data = 0, hole = 0;
	int r = seek_page(fd, page_size, first, SEEK_DATA, &data);

	if (r < 0)
		return r;
	if (data > first) {
		*ret = (struct seek_run){.first = first, .end = MIN(data, limit)};
		return 0;
	}
	r = seek_page(fd, page_size, first, SEEK_HOLE, &hole);
	if (r < 0)
		return r;
	/* Punched between the two calls: no data after all. */
	if (hole <= first)
		*ret = (struct seek_run){.first = first, .end = first + 1};
	else
		*ret = (struct seek_run){.first = first, .end = MIN(hole, limit), .data = true};
	return 0;
}

int seek_all_data(int fd, uint64_t page_size, uint64_t first, uint64_t end)
{
	struct seek_run run;
	int r = seek_next(fd, page_size, first, end, &run);

	if (r < 0)
		return r;
	return run.data && run.end == end;
}
