/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/*
 * What the walk (walk.bpf.c) and its caller (src/probe/walker.c) say to each other. All through one
 * structure that both have mapped: nothing is copied twice.
 */

#include "types.h"

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
	uint64_t first;
	uint32_t shift;
	uint32_t pad;
	uint64_t not_uptodate; /* bit k: the folio in slot k was never written */
	uint64_t slots[WALK_NODE_PAGES];
};

/* O(1) facts about the object. */
struct walk_facts {
	uint64_t inode; /* an address, to recognize it by */
	uint64_t a_ops; /* likewise; tells shmem from the rest */
	uint64_t size;  /* bytes */
	uint64_t nrpages;
	uint64_t alloced;   /* nrpages + swapped, poison included */
	uint64_t swapped;   /* swap entries */
	uint64_t fallocend; /* no page from here on was made by fallocate */
	uint64_t locked;    /* somebody is changing the page cache this moment */
	uint64_t writing;   /* perhaps a truncate, punch or write is under way */
};

/* Program walk: the arguments of a test run, in this order. */
struct walk_args {
	uint64_t fd;
	uint64_t first;   /* page */
	uint64_t end;     /* page, not included */
	uint64_t records; /* how many at most; at least WALK_NODE_PAGES */
};

struct walk_result {
	uint64_t next; /* the page to go on with; >= end: done */
	uint64_t n_records;
	uint64_t ns; /* how long it took, preemption off */
	struct walk_facts before;
	struct walk_facts after;
};
