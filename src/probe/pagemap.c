/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "probe/pagemap.h"
#include "util/util.h"

/*
 * Bits 0-4 of a word with PAGEMAP_SWAP are the swap type. The kernel keeps the highest for things
 * that are not swap: markers take the last, 31, and poison, migration and device memory between 5
 * and 8 below it, depending on its configuration. What lies in between can be either.
 */
#define SWAP_TYPE(word) ((unsigned)((word)&31))
#define SWAP_TYPE_MARKER 31
#define SWAP_TYPE_SURE 22

/* PAGEMAP_SCAN, which the headers of older systems do not have. */
#define SCAN_IS_HUGE (UINT64_C(1) << 6)
#define SCAN_RUNS 64

struct scan_run {
	uint64_t start, end, categories; /* bytes */
};

struct scan {
	uint64_t size, flags;
	uint64_t start, end, walk_end;
	uint64_t runs, n_runs;
	uint64_t max_pages;
	uint64_t inverted, all_of, any_of, told;
};

#define PAGEMAP_IOC_SCAN _IOWR('f', 16, struct scan)

int pagemap_open(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int pagemap_read(int fd, uint64_t page, size_t count, uint64_t *words)
{
	size_t got = 0, want = count * sizeof(*words);

	while (got < want) {
		ssize_t n = pread(fd, (char *)words + got, want - got,
				  (off_t)(page * sizeof(*words) + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	/* A process that has exited reads as an empty file. */
	if (got == 0 && want > 0)
		return -ESRCH;
	memset((char *)words + got, 0, want - got);
	return 0;
}

int pagemap_find_huge(int fd, uint64_t page_size, uint64_t page, uint64_t end,
		      struct page_range *runs, size_t n_runs, uint64_t *ret_next)
{
	struct scan_run found[SCAN_RUNS];
	struct scan scan = {
		.size = sizeof(scan),
		.start = page * page_size,
		.end = end * page_size,
		.runs = (uintptr_t)found,
		.n_runs = MIN(n_runs, (size_t)SCAN_RUNS),
		.all_of = SCAN_IS_HUGE,
		.told = SCAN_IS_HUGE,
	};
	int n = ioctl(fd, PAGEMAP_IOC_SCAN, &scan);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		runs[i] = (struct page_range){
			.first = found[i].start / page_size,
			.count = (found[i].end - found[i].start) / page_size,
		};
	*ret_next = scan.walk_end / page_size;
	return n;
}

enum pagemap_private pagemap_classify_private(uint64_t word)
{
	if (word & PAGEMAP_PRESENT)
		return word & PAGEMAP_FILE ? PRIVATE_NONE : PRIVATE_PRESENT;
	if (!(word & PAGEMAP_SWAP) || SWAP_TYPE(word) == SWAP_TYPE_MARKER)
		return PRIVATE_NONE;
	return SWAP_TYPE(word) <= SWAP_TYPE_SURE ? PRIVATE_SWAPPED : PRIVATE_UNKNOWN;
}
