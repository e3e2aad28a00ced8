/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/*
 * What the programs that hear of changes (track-*.bpf.c) and src/track/events.c say to each other.
 *
 * Each program has a batch of its own on each CPU, and a kernel lets no program run twice at a time
 * on a CPU, so a batch has one writer. Full ones go into a ring buffer; what is in the others
 * track_flush hands over, which user space runs on the very CPU. It may have interrupted the
 * writer: that one stores the record first and the number of records last, and so at worst makes
 * what was handed over known again.
 */

#include "types.h"

/* Watched objects whose page cache is searched at each swap-out; of more we do not ask whose. */
#define TRACK_NEAR 8

/* The largest number that is ever watched by inode where the kernel tells inodes. */
#define TRACK_OBJECTS 4096

#define TRACK_RECORDS 44 /* in a batch, which is then of 1 KiB */
#define TRACK_RING_BYTES (256 * 1024)

/* One for each program. */
enum track_writer {
	TRACK_SWAP_OUT,
	TRACK_SWAP_IN,
	TRACK_INSERT,
	TRACK_REMOVE,
	TRACK_SWAPOFF,
	TRACK_COLLAPSE,
	TRACK_WRITERS,
};

/* Pages first to first + count - 1; what lies beyond the last first has that, and no end. */
#define TRACK_FIRST_BITS 40
#define TRACK_FIRST_MAX (((uint64_t)1 << TRACK_FIRST_BITS) - 1)
#define TRACK_COUNT_MAX (((uint64_t)1 << (64 - TRACK_FIRST_BITS)) - 2)
#define TRACK_TO_END (TRACK_COUNT_MAX + 1)

struct track_record {
	uint64_t inode; /* 0: of whom is not known */
	uint64_t span;  /* first | count << TRACK_FIRST_BITS */
};

/*
 * All that an event reads and writes besides the page cache, in as few lines of the processor's
 * cache as may be, and in one page: where pages are written out, what is met for the first time
 * costs most. So each batch has what is watched for itself, and a page that continues a run - the
 * next one of the same object, as most do - needs the first line only (see track.bpf.h).
 */
struct track_batch {
	uint64_t n;      /* records */
	uint64_t armed;  /* the next event is to wake; the writer takes it back */
	uint64_t all;    /* record also what belongs to none that is known here */
	uint64_t n_near; /* how many of near[] are to be looked at */
	uint64_t next;   /* the page that would continue the run; 0: none would */
	uint64_t node;   /* of the page cache, where the last page was found; 0: nowhere */
	uint64_t array;  /* address of the struct xarray which that node belongs to */
	uint64_t epoch;  /* how often track_flush has been here */

	uint64_t pages[TRACK_NEAR]; /* so far, of near[] */
	uint64_t near[TRACK_NEAR];  /* inodes; 0: free */

	uint64_t run;        /* 1 + its number in near[], or TRACK_OF_NOBODY; 0: there is none */
	uint64_t run_first;  /* the first of its pages that no record has yet */
	uint64_t run_inode;  /* as in a record */
	uint64_t node_page;  /* which the node holds, with the others of its 64, */
	uint64_t node_near;  /* of this one of near[] */
	uint64_t drop_every; /* tests: that many-th event is lost; 0: none */
	uint64_t heard;      /* for drop_every */
	uint64_t lost;       /* records so far that the ring buffer had no room for */

	uint64_t pad[7];
	uint64_t writer; /* from here on it is handed over */
	struct track_record records[TRACK_RECORDS];
};

#define TRACK_OF_NOBODY (TRACK_NEAR + 1)

/*
 * Of watched objects, by inode, where functions of the kernel tell it. One for each CPU. Of ranges
 * that are removed, and of swapoff, it counts how often.
 */
struct track_object {
	uint64_t pages[TRACK_WRITERS];
};

/* Program track_flush: returns 1 if there was no room; then the batch is as it was. */
struct track_flush_args {
	uint64_t batch; /* number of the CPU * TRACK_WRITERS + writer */
	uint64_t wake;
};
