/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probe/pagemap.h"

/*
 * Bits 0-4 of a word with PAGEMAP_SWAP are the swap type. The kernel keeps the highest for things
 * that are not swap: markers take the last, 31, and poison, migration and device memory between 5
 * and 8 below it, depending on its configuration. What lies in between can be either.
 */
#define SWAP_TYPE(word) ((unsigned)((word)&31))
#define SWAP_TYPE_MARKER 31
#define SWAP_TYPE_SURE 22

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

enum pagemap_private pagemap_classify_private(uint64_t word)
{
	if (word & PAGEMAP_PRESENT)
		return word & PAGEMAP_FILE ? PRIVATE_NONE : PRIVATE_PRESENT;
	if (!(word & PAGEMAP_SWAP) || SWAP_TYPE(word) == SWAP_TYPE_MARKER)
		return PRIVATE_NONE;
	return SWAP_TYPE(word) <= SWAP_TYPE_SURE ? PRIVATE_SWAPPED : PRIVATE_UNKNOWN;
}
