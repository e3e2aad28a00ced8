/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
#pragma once

/*
 * What the iterators of discover.bpf.c write and src/discover/iterate.c reads: one record a
 * descriptor or mapping of shared memory, each followed by its name. Only types of fixed width: the
 * two sides are compiled for different machines.
 */

#define DISCOVER_NAME_MAX 4096 /* PATH_MAX: what readlink(2) on a link of /proc gives at most */

struct discover_record {
	__u64 ino;
	__u64 size;   /* bytes */
	__u64 start;  /* bytes, address space; 0 for a descriptor */
	__u64 end;    /* not included */
	__u64 offset; /* pages, in the object */
	__u32 dev;    /* as the kernel keeps it: 12 bits major, 20 bits minor */
	__u32 magic;  /* of the file system */
	__u32 block_size;
	__u32 generation;
	__u32 n_links;
	__u32 pid; /* of the process, as the reader's pid namespace numbers it */
	__u32 tid; /* of the thread; records come in this order */
	__s32 fd;  /* -1 for a mapping */
	__u32 shared;
	__u32 name_size; /* bytes, with the NUL; 0: too long for the kernel to tell */
};

/* The name follows at once; the next record begins at a multiple of 8 bytes. */
#define DISCOVER_RECORD_SIZE(name_size) \
	(sizeof(struct discover_record) + (((name_size) + 7UL) & ~7UL))
