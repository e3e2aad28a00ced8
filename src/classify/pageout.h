/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What became of a page that was to be paged out, told from what was seen of it before and after.
 * The kernel itself says nothing: MADV_PAGEOUT succeeds whatever happens. Pure.
 *
 * A reason is given only if it was seen. What was seen of a page that stayed need not be why it did
 * in the one case that two things hold at once; then the one that alone would have been enough, and
 * lasts, comes first.
 */

#include <stdbool.h>
#include <stdint.h>

#include "model/state.h"

enum pageout_fact {
	PAGEOUT_ASKED = 1 << 0,   /* it is to leave */
	PAGEOUT_TRIED = 1 << 1,   /* the kernel took the advice */
	PAGEOUT_COVERED = 1 << 2, /* a shared mapping of the process shows it */
	PAGEOUT_PTE = 1 << 3,     /* and it was in the process's page table, before the advice, */
	PAGEOUT_SHARED = 1 << 4,  /* and in another, or there twice */
	PAGEOUT_LOCKED = 1 << 5,  /* by mlock, or the whole object by SHM_LOCK */
	PAGEOUT_SPECIAL = 1 << 6, /* a mapping of frames or of huge pages */
	PAGEOUT_FULL = 1 << 7,    /* no slot of the swap was free */
	PAGEOUT_DROPPED = 1 << 8, /* after the advice it was no longer in the page table, */
	PAGEOUT_AGAIN = 1 << 9,   /* and at the last look it was there once more */
	PAGEOUT_HUGE = 1 << 10,   /* in a huge page that the page table has as a whole, */
	PAGEOUT_MAYBE_HUGE = 1 << 11, /* or perhaps so, */
	PAGEOUT_WHOLE = 1 << 12,      /* of which every page is asked for */
};

typedef uint16_t pageout_facts;

enum pageout_fate {
	FATE_SWAPPED,       /* it has left */
	FATE_SWAP_CACHE,    /* it has a slot; the kernel has not yet freed the RAM */
	FATE_MOVABLE,       /* of a dry run: nothing is known to be in the way */
	FATE_OUT_BEFORE,    /* it was swapped already */
	FATE_CACHED_BEFORE, /* it was in the swap cache already */
	FATE_ABSENT,        /* there was nothing: a hole, or content that is lost */
	FATE_FREED,         /* punched or cut off meanwhile */
	FATE_NOT_TRIED,     /* the cap was reached, or somebody said stop */
	FATE_OVER_MAX,      /* in what may be a huge page, of which the cap permits a part */
	FATE_NOT_MAPPED,    /* from here on: it stayed. The process does not map it */
	FATE_NO_PTE,        /* it maps it, but has not got it in its page table */
	FATE_MAPPED_TWICE,
	FATE_LOCKED,
	FATE_SPECIAL,
	FATE_HUGE_PART, /* in a huge page that would be cut */
	FATE_NO_ROOM,
	FATE_TOUCHED,      /* it came back meanwhile */
	FATE_STAYED,       /* not known why */
	FATE_UNDETERMINED, /* it is not known whether it left */
	FATE_MAX,
};

/* The name as printed, and a few words for people; never NULL for a valid fate. */
const char *pageout_fate_to_string(enum pageout_fate fate);
const char *pageout_fate_to_text(enum pageout_fate fate);

/* It has left RAM, or only the kernel keeps it from doing so. */
static inline bool pageout_fate_is_left(enum pageout_fate fate)
{
	return fate == FATE_SWAPPED || fate == FATE_SWAP_CACHE;
}

static inline bool pageout_fate_is_refused(enum pageout_fate fate)
{
	return fate >= FATE_NOT_MAPPED && fate <= FATE_STAYED;
}

/* The kernel would split the huge page, and take all of it out of the page table, not out of RAM.
 */
static inline bool pageout_is_part(pageout_facts facts)
{
	return (facts & PAGEOUT_HUGE) && !(facts & PAGEOUT_WHOLE);
}

/* Would there be anything to page out? True in doubt. */
bool pageout_is_wanted(enum page_state before);

enum pageout_fate pageout_tell(pageout_facts facts, enum page_state before, enum page_state after);

/* The same of a page about which no advice is given. */
enum pageout_fate pageout_foresee(pageout_facts facts, enum page_state before);
