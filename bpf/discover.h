/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
#pragma once

/*
 * What the iterators of discover.bpf.c write and src/discover/iterate.c reads: one record a
 * descriptor or mapping of shared memory, each followed by its name. Only types of fixed width: the
 * two sides are compiled for different machines.
 */

#include "types.h"

#define DISCOVER_NAME_MAX 4096 /* PATH_MAX: what readlink(2) on a link of /proc gives at most */

struct discover_record {
	uint64_t ino;
	uint64_t size;   /* bytes */
	uint64_t start;  /* bytes, address space; 0 for a descriptor */
	uint64_t end;    /* not included */
	uint64_t offset; /* pages, in the object */
	uint32_t dev;    /* as the kernel keeps it: 12 bits major, 20 bits minor */
	uint32_t magic;  /* of the file system */
	uint32_t block_size;
	uint32_t generation;
	uint32_t n_links;
	uint32_t pid; /* of the process, as the reader's pid namespace numbers it */
	uint32_t tid; /* of the thread; records come in this order */
	int32_t fd;   /* -1 for a mapping */
	uint32_t shared;
	uint32_t leased; /* somebody has a lease on the file */
	uint32_t pad;
	uint32_t name_size; /* bytes, with the NUL; 0: too long for the kernel to tell */
};

/* The name follows at once; the next record begins at a multiple of 8 bytes. */
#define DISCOVER_RECORD_SIZE(name_size) \
	(sizeof(struct discover_record) + (((name_size) + 7UL) & ~7UL))
