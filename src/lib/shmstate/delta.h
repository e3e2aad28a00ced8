/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SHMSTATE_DELTA_H
#define SHMSTATE_DELTA_H

/*
 * What the descriptor holds that io.shmstate.Classify answers with if it is asked for what has
 * changed `since`, and its encoding is file_descriptor: about two bytes for each run of pages that
 * changed alike.
 *
 * The descriptor is sealed, and to be read, as that of <shmstate/map.h> is: struct
 * shmstate_delta_header, and records at the offset that it tells. Numbers are in the byte order of
 * the machine. Readers must ask for version 1.
 *
 * A record is a number, a byte, and perhaps another number. Numbers are written seven bits a byte,
 * the lowest first; the top bit of a byte says that another follows.
 *   1. how many pages lie between the end of the record before (at first: page `first`) and this
 * one
 *   2. bits 0 to 2: the state that these pages were in; bits 3 to 5: the state that they are in
 *      (enum shmstate_state); bits 6 and 7: how many pages they are, less one, if that is less than
 * 3
 *   3. if that is 3: how many pages they are, less four
 * Pages that only the larger of old_object_size and object_size covers have one state: both are
 * that.
 */

#include <shmstate/map.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMSTATE_DELTA_MAGIC                                                 \
	UINT64_C(0x746c6465746d6873) /* "shmtedlt" on little-endian machines \
				      */
#define SHMSTATE_DELTA_VERSION 1

struct shmstate_delta_header {
	uint64_t magic;           /* SHMSTATE_DELTA_MAGIC */
	uint32_t version;         /* SHMSTATE_DELTA_VERSION */
	uint32_t flags;           /* enum shmstate_map_flag */
	uint64_t size;            /* of all this, bytes */
	uint64_t page_size;       /* of the object, bytes */
	uint64_t object_size;     /* bytes */
	uint64_t old_object_size; /* bytes: when the older generation was seen */
	uint64_t first;           /* pages: what was looked at */
	uint64_t count;           /* pages; where the object shrank there are records behind */
	uint64_t moved;           /* pages that changed between two looks */
	uint64_t counts[SHMSTATE_STATES]; /* pages in each state, now */
	uint64_t since;                   /* number of the older generation */
	uint64_t generation;              /* of this one; 0: it is not kept */
	uint64_t changed;                 /* pages */
	uint64_t records;                 /* offset of the first record, bytes */
	uint64_t n_records;
};

#ifdef __cplusplus
}
#endif

#endif
