/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer to "in which state is each page?": what serve/ and ctl/ print. No system calls. */

#include <stdbool.h>
#include <stdint.h>

#include "model/state_map.h"
#include "model/verification.h"

/* Why an answer is less than exact. A set of bits. */
enum snapshot_reason {
	SNAPSHOT_NO_CACHESTAT = 1 << 0,       /* present and swap_cache not told apart: in_core */
	SNAPSHOT_ALLOCATED_UNPLACED = 1 << 1, /* no cachestat, and some hole is an allocated page */
	SNAPSHOT_POISON_UNPLACED = 1 << 2,    /* some swap entry is poison, not known which */
	SNAPSHOT_POISON_UNCHECKED = 1 << 3,   /* no /proc/self/smaps: poison not excluded */
	SNAPSHOT_KEPT_MOVING = 1 << 4,        /* the kernel's interfaces contradicted each other */
	SNAPSHOT_LARGE_UNASKED = 1 << 5,      /* no swap_info, and mincore cannot say it of these */
};

/* Which kernel interfaces the states come from. A set of bits. */
enum probe_source {
	SOURCE_SEEK = 1 << 0,
	SOURCE_MINCORE = 1 << 1,
	SOURCE_CACHESTAT = 1 << 2,
	SOURCE_PAGEMAP = 1 << 3,
	SOURCE_ACCOUNTING = 1 << 4, /* st_blocks and smaps of a mapping of our own */
	SOURCE_PAGE_CACHE = 1 << 5, /* the page cache itself, by BPF */
	SOURCE_SWAP_MAP = 1 << 6,   /* a swap's swap_map, by BPF (until 6.19) */
	SOURCE_SWAP_TABLE = 1 << 7, /* a swap's tables, by BPF (from 6.18) */
};

/* Owns map. An all-zero snapshot is an empty one. */
struct snapshot {
	uint64_t page_size; /* bytes */
	uint64_t size;      /* of the object, bytes, when the last look began */
	uint64_t first;     /* pages: what was asked for, cropped to the object */
	uint64_t count;
	const char *probe;                /* static name */
	uint32_t sources;                 /* enum probe_source bits */
	uint32_t reasons;                 /* enum snapshot_reason bits */
	bool stable;                      /* a second look at what could have changed agreed */
	uint64_t moved;                   /* pages that did not; 0 if stable */
	uint64_t counts[PAGE_STATE_MAX];  /* those of the map, which can be given up before */
	struct state_map map;             /* of these pages: same first, same count */
	uint64_t generation;              /* number, of the service that told it; 0: none */
	bool settled;                     /* two looks in a row agreed, as was asked for */
	uint64_t inode;                   /* its address, from a walk; 0: not known */
	int walk_error;                   /* why it is not from a walk that was wanted: errno < 0 */
	struct verification verification; /* where two probes were compared */
};

void snapshot_done(struct snapshot *s);

/* How many pages an object of this size has. */
uint64_t size_to_pages(uint64_t size, uint64_t page_size);

/* One line for a person, for one single bit; never NULL. */
const char *snapshot_reason_to_string(enum snapshot_reason reason);
/* "seek", "mincore", ... for one single bit; never NULL. */
const char *probe_source_to_string(enum probe_source source);

/*
 * True when the pages in these states cannot be named in full: some page is unknown, or is in_core
 * while only one of present and swap_cache was asked for.
 */
bool snapshot_is_incomplete(const struct snapshot *s, page_state_mask asked);
