/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe/cachestat.h"

/* Debian 12's headers do not know the call; the number is the same on every architecture but alpha.
 */
#ifndef SYS_cachestat
#ifdef __alpha__
#define SYS_cachestat 561
#else
#define SYS_cachestat 451
#endif
#endif

/* As in linux/mman.h of 6.5. */
struct kernel_cachestat_range {
	uint64_t off;
	uint64_t len;
};

struct kernel_cachestat {
	uint64_t nr_cache;
	uint64_t nr_dirty;
	uint64_t nr_writeback;
	uint64_t nr_evicted;
	uint64_t nr_recently_evicted;
};

int cachestat_count(int fd, uint64_t page_size, uint64_t first, uint64_t count,
		    struct slot_counts *ret)
{
	struct kernel_cachestat_range range = {.off = first * page_size, .len = count * page_size};
	struct kernel_cachestat stat;

	if (syscall(SYS_cachestat, fd, &range, &stat, 0) < 0)
		return -errno;
	ret->folios = stat.nr_cache;
	ret->entries = stat.nr_evicted;
	ret->recent = stat.nr_recently_evicted;
	return 0;
}
