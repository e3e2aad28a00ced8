/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What this kernel can do, and what it lets this process do: found by trying on objects of our own,
 * never by version number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum kcap {
	KCAP_SEEK,            /* SEEK_DATA and SEEK_HOLE on shmem */
	KCAP_MINCORE,         /* mincore on a mapping without page table entries */
	KCAP_CACHESTAT,       /* cachestat(2) */
	KCAP_SMAPS,           /* Swap: of a mapping of our own */
	KCAP_PAGEMAP,         /* /proc/PID/pagemap, our own */
	KCAP_VMSTAT,          /* swap events of the system */
	KCAP_GENERATION,      /* inode generations through name_to_handle_at(2) */
	KCAP_MAP_FILES,       /* objects that are only mapped can be opened */
	KCAP_PROC_ALL,        /* descriptors and mappings of every process can be read */
	KCAP_WALK,            /* BPF programs that read the page cache */
	KCAP_SWAP_SLOTS,      /* swap_info, found by them */
	KCAP_EVENTS_SWAP_OUT, /* BPF programs that hear of swap-outs */
	KCAP_EVENTS_ALL,      /* and of all that changes an object's pages */
	KCAP_MAX,
};

struct kcaps {
	uint64_t page_size;  /* bytes */
	dev_t shmem_dev;     /* the kernel's own mount: memfd, SysV, anonymous MAP_SHARED */
	int error[KCAP_MAX]; /* 0: works; else the negative errno that trying gave */
};

/*
 * Returns 0 or a negative errno (not even a memfd can be made). BPF is not tried (-ENODATA), for
 * that takes a while: see prober_tell() and events_tell().
 */
int kcaps_probe(struct kcaps *ret);

static inline bool kcaps_has(const struct kcaps *caps, enum kcap cap)
{
	return caps->error[cap] == 0;
}

/* Name and purpose for people; never NULL. */
const char *kcap_to_string(enum kcap cap);
const char *kcap_purpose(enum kcap cap);
/* What is lost without it; never NULL. */
const char *kcap_without(enum kcap cap);
