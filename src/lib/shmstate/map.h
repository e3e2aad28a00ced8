/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SHMSTATE_MAP_H
#define SHMSTATE_MAP_H

/*
 * What the descriptor holds that io.shmstate.Classify answers with if its encoding is
 * file_descriptor: the state of each page of an object, 3 bits a page where states alternate and
 * next to nothing where they do not.
 *
 * The descriptor is a memfd with all seals but F_SEAL_EXEC set (its content and its size will not
 * change), to be read, or mapped from its start on, with MAP_PRIVATE (MAP_SHARED takes Linux 6.7):
 * struct shmstate_map_header, segments and blocks, each at the offset that the header tells.
 * Numbers are in the byte order of the machine. Readers must ask for version 1, and take sizes and
 * offsets from the header: fields may be added behind those that are here.
 *
 * Pages are counted from the start of the object. 64 of them are a block: page P is bit P % 64 of
 * the words of block P / 64. A segment is a run of blocks, either all in one state or with words of
 * their own; segments follow each other without a gap, and cover the range that the header tells.
 * Bits of pages outside of that range mean nothing.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMSTATE_MAP_MAGIC UINT64_C(0x70616d65746d6873) /* "shmtemap" on little-endian machines */
#define SHMSTATE_MAP_VERSION 1

/* What a page is. More may come: take what you do not know for SHMSTATE_UNKNOWN. */
enum shmstate_state {
	SHMSTATE_HOLE = 0,       /* nothing there: reads as zeros */
	SHMSTATE_ALLOCATED = 1,  /* in RAM, made by fallocate(), never written: reads as zeros */
	SHMSTATE_PRESENT = 2,    /* in RAM, with data */
	SHMSTATE_SWAP_CACHE = 3, /* has a place in the swap, and is in RAM still or again */
	SHMSTATE_SWAPPED = 4,    /* its content is in the swap only */
	SHMSTATE_POISONED = 5,   /* content lost: access gives SIGBUS */
	SHMSTATE_IN_CORE = 6,    /* present or swap_cache: this kernel gives no way to tell */
	SHMSTATE_UNKNOWN = 7,    /* could not be determined */
};

#define SHMSTATE_STATES 8 /* how many there are; array sizes below */

/* Bits of shmstate_map_header.flags. */
enum shmstate_map_flag {
	SHMSTATE_MAP_STABLE = 1 << 0,     /* a second look at what could have changed agreed */
	SHMSTATE_MAP_INCOMPLETE = 1 << 1, /* some page could not be determined */
	SHMSTATE_MAP_SETTLED = 1 << 2,    /* two looks in a row agreed, as was asked for */
};

struct shmstate_map_header {
	uint64_t magic;                   /* SHMSTATE_MAP_MAGIC */
	uint32_t version;                 /* SHMSTATE_MAP_VERSION */
	uint32_t flags;                   /* enum shmstate_map_flag */
	uint64_t size;                    /* of all this, bytes */
	uint64_t page_size;               /* of the object, bytes */
	uint64_t object_size;             /* bytes */
	uint64_t first;                   /* pages: what was looked at */
	uint64_t count;                   /* pages */
	uint64_t moved;                   /* pages that changed between two looks */
	uint64_t counts[SHMSTATE_STATES]; /* pages in each state */
	uint64_t segments;                /* offset of the first segment, bytes */
	uint64_t n_segments;
	uint64_t blocks; /* offset of the first block, bytes */
	uint64_t n_blocks;
	uint64_t generation; /* number of this answer; 0: it is not kept */
};

struct shmstate_map_segment {
	uint64_t first; /* number of its first block: its page / 64 */
	uint64_t count; /* blocks */
	uint64_t block; /* index of the first of its blocks, or SHMSTATE_MAP_UNIFORM */
	uint32_t state; /* enum shmstate_state, of all its pages, if uniform; else 0 */
	uint32_t zero;
};

#define SHMSTATE_MAP_UNIFORM UINT64_MAX

/* Of 64 pages: bit P of plane[B] is bit B of the state of page P. */
struct shmstate_map_block {
	uint64_t plane[3];
};

#ifdef __cplusplus
}
#endif

#endif
