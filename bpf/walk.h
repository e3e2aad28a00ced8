/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/*
 * What the walk (walk.bpf.c) and its caller (src/probe/walker.c) say to each other. All through one
 * structure that both have mapped: nothing is copied twice.
 */

#include <linux/types.h>

#define WALK_NODE_PAGES 64

/* Records that a chunk can hold: 32,768 pages where there are no large folios. */
#define WALK_RECORDS 512

/* Never used by the page cache: what was there when the record was made is not known. */
#define WALK_RETRY_WORD 0x402

/*
 * What one node of the page cache holds. shift 0: 64 words, for the pages from first on. Larger:
 * one entry that covers 1 << shift pages from first on; it is slots[0], and begins at page
 * slots[1]. Pages that no record covers are holes.
 */
struct walk_record {
	__u64 first;
	__u32 shift;
	__u32 pad;
	__u64 not_uptodate; /* bit k: the folio in slot k was never written */
	__u64 slots[WALK_NODE_PAGES];
};

/* O(1) facts about the object. */
struct walk_facts {
	__u64 inode; /* an address, to recognize it by */
	__u64 a_ops; /* likewise; tells shmem from the rest */
	__u64 size;  /* bytes */
	__u64 nrpages;
	__u64 alloced;   /* nrpages + swapped, poison included */
	__u64 swapped;   /* swap entries */
	__u64 fallocend; /* no page from here on was made by fallocate */
};

/* Program walk: the arguments of a test run, in this order. */
struct walk_args {
	__u64 fd;
	__u64 first;   /* page */
	__u64 end;     /* page, not included */
	__u64 records; /* how many at most; at least WALK_NODE_PAGES */
	__u64 buffer;  /* which of the two */
};

struct walk_result {
	__u64 next;      /* the page to go on with; >= end: done */
	__u64 n_records; /* in the buffer that was asked for */
	__u64 ns;        /* how long it took, preemption off */
	struct walk_facts before;
	struct walk_facts after;
};

#define WALK_BUFFERS 2

struct walk_buffer {
	struct walk_record records[WALK_RECORDS];
};
