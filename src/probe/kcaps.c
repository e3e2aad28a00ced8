/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/account.h"
#include "probe/cachestat.h"
#include "probe/generation.h"
#include "probe/kcaps.h"
#include "probe/mincore.h"
#include "probe/pagemap.h"
#include "probe/seek.h"
#include "probe/smaps.h"
#include "probe/try.h"
#include "util/util.h"

/* The object to try on: page 0 is written, page 1 is a hole. */
#define TRY_PAGES 2

static const struct {
	const char *name;
	const char *purpose;
	const char *without;
} descriptions[KCAP_MAX] = {
	[KCAP_SEEK] = {"seek", "holes", "no answer"},
	[KCAP_MINCORE] = {"mincore", "pages out of core", "no answer"},
	[KCAP_CACHESTAT] = {"cachestat", "present from swap_cache, hole from allocated",
			    "present and swap_cache become in_core"},
	[KCAP_SMAPS] = {"smaps", "swap entries of an object, poison",
			"swapped pages become unknown, answers take longer"},
	[KCAP_PAGEMAP] = {"pagemap", "a process's own view, second witness for present",
			  "no pagemap verb"},
	[KCAP_VMSTAT] = {"vmstat", "proof that nothing moved meanwhile", "answers take longer"},
	[KCAP_GENERATION] = {"generation", "objects with the same number told apart",
			     "such objects may be mixed up in lists"},
	[KCAP_MAP_FILES] = {"map_files", "objects that are mapped but not held open",
			    "such objects are listed without states"},
	[KCAP_WALK] = {"walk", "all states exactly, at the speed of memory",
		       "the portable probe answers, some fifty times more slowly"},
	[KCAP_SWAP_SLOTS] = {"swap_slots", "swap_cache from swapped, where pages lie in the swap",
			     "mincore is asked about swapped pages, and locate does not work"},
	[KCAP_EVENTS_SWAP_OUT] = {"events_swap_out",
				  "word of pages that are swapped out, as they are",
				  "changes are found by looking again and again"},
	[KCAP_EVENTS_ALL] = {"events_all",
			     "word of pages that come in, are new or are removed, too",
			     "such changes are found by looking again and again"},
	[KCAP_PROC_ALL] = {"proc_all", "descriptors and mappings of every process",
			   "objects of other users are missing"},
};

const char *kcap_to_string(enum kcap cap)
{
	return descriptions[cap].name;
}

const char *kcap_purpose(enum kcap cap)
{
	return descriptions[cap].purpose;
}

const char *kcap_without(enum kcap cap)
{
	return descriptions[cap].without;
}

static int try_seek(int fd, uint64_t page_size)
{
	struct seek_run run;
	int r = seek_next(fd, page_size, 0, TRY_PAGES, &run);

	if (r < 0)
		return r;
	return run.data && run.end == 1 ? 0 : -EOPNOTSUPP;
}

static int try_mincore(int fd, uint64_t page_size)
{
	struct mincore_map map = {.fd = fd, .page_size = page_size};
	unsigned char vec[TRY_PAGES];
	int r = mincore_check(fd, page_size);

	if (r < 0)
		return r;
	r = mincore_read(&map, 0, TRY_PAGES, vec);
	mincore_unmap(&map);
	if (r < 0)
		return r;
	return (vec[0] & 1) && !(vec[1] & 1) ? 0 : -EOPNOTSUPP;
}

static int try_cachestat(int fd, uint64_t page_size)
{
	struct slot_counts n;
	int r = cachestat_count(fd, page_size, 0, TRY_PAGES, &n);

	if (r < 0)
		return r;
	return n.folios == 1 && n.entries == 0 ? 0 : -EOPNOTSUPP;
}

static int try_pagemap(void)
{
	_cleanup_close_ int fd = pagemap_open(getpid());
	uint64_t word;

	if (fd < 0)
		return fd;
	/* The stack is there. */
	return pagemap_read(fd, (uintptr_t)&word / (uint64_t)sysconf(_SC_PAGESIZE), 1, &word);
}

/* Opens what a mapping of our own shows: the kernel asks for a capability. */
static int try_map_files(int fd, uint64_t page_size)
{
	void *address = mmap(NULL, page_size, PROT_NONE, MAP_SHARED, fd, 0);
	char path[96];
	int opened, r = 0;

	if (address == MAP_FAILED)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)address,
		 (unsigned long)address + (unsigned long)page_size);
	opened = open(path, O_RDONLY | O_CLOEXEC);
	if (opened < 0)
		r = -errno;
	else
		close(opened);
	munmap(address, page_size);
	return r;
}

int kcaps_probe(struct kcaps *ret)
{
	struct kcaps caps = {.page_size = (uint64_t)sysconf(_SC_PAGESIZE)};
	_cleanup_close_ int fd = try_object_create(caps.page_size, TRY_PAGES, &(uint64_t){0}, 1);
	struct account account;
	uint64_t swapped;
	uint32_t generation;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	caps.shmem_dev = st.st_dev;
	caps.error[KCAP_SEEK] = try_seek(fd, caps.page_size);
	caps.error[KCAP_MINCORE] = try_mincore(fd, caps.page_size);
	caps.error[KCAP_CACHESTAT] = try_cachestat(fd, caps.page_size);
	caps.error[KCAP_SMAPS] = smaps_swapped(fd, caps.page_size, TRY_PAGES, &swapped);
	caps.error[KCAP_PAGEMAP] = try_pagemap();
	caps.error[KCAP_VMSTAT] = account_read(fd, &caps, &account);
	if (caps.error[KCAP_VMSTAT] == 0 && !account.have_events)
		caps.error[KCAP_VMSTAT] = -ENODATA;
	caps.error[KCAP_GENERATION] = generation_of_fd(fd, &generation);
	caps.error[KCAP_MAP_FILES] = try_map_files(fd, caps.page_size);
	caps.error[KCAP_WALK] = caps.error[KCAP_SWAP_SLOTS] = -ENODATA;
	caps.error[KCAP_EVENTS_SWAP_OUT] = caps.error[KCAP_EVENTS_ALL] = -ENODATA;
	/* (By what is in effect: without AT_EACCESS a user's ambient capabilities do not count.) */
	caps.error[KCAP_PROC_ALL] =
		faccessat(AT_FDCWD, "/proc/1/fd/.", R_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
	*ret = caps;
	return 0;
}
