/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the portable probe. The order of things:
 *   portable.c          the request: a first look, a second one, the snapshot
 *   portable-look.c     a look: which mode, and the proof of what the mode took for granted
 *   portable-resolve.c  what a look alone cannot tell: swap cache, poison, pages on the move
 */

#include "probe/account.h"
#include "probe/probe.h"
#include "probe/window.h"

/* A request under way. */
struct portable {
	const struct probe_request *request;
	struct window_probe probe;
	struct account before; /* when it began */
	struct account now;    /* the latest */
	uint64_t size;         /* bytes, when the latest look began */
	bool whole;            /* the whole object is looked at */
	uint64_t first;        /* pages looked at */
	uint64_t end;
	bool quiet; /* nothing happened between before and now */
	bool still; /* nothing to this object that shows in its own accounting */
	struct extent_list extents;
	uint64_t n_left_entries; /* pages that were swap entries and are none any more */
	uint32_t reasons;
	uint64_t moved;
};

/* How often pages that move under the look are looked at again before they are called unknown. */
#define MOVING_TRIES 3

static inline uint64_t pages_in(const struct portable *s, page_state_mask mask)
{
	return extent_list_pages(&s->extents, mask);
}

/* Slots that are not empty: what the kernel counts in st_blocks. */
static inline uint64_t occupied(const struct portable *s)
{
	return pages_in(s, ~(PAGE_STATE_BIT(PAGE_HOLE) | PAGE_STATE_BIT(PAGE_UNKNOWN)));
}

/* All of these return 0 or a negative errno, and work on s->extents. */

/* Everything, in the cheapest way that the accounting allows. */
int portable_first_look(struct portable *s);
/* Everything, in a way that tells right what holds still whatever else moves. */
int portable_unquiet_look(struct portable *s);
/* Everything, in this mode (enum window_mode). */
int portable_look_in_mode(struct portable *s, uint32_t mode);
/* Once more at the pages in these states, asking every interface. */
int portable_look_again(struct portable *s, page_state_mask mask);
/* Runs every extent in one of the states through f, which appends what it found to the new list. */
typedef int (*portable_replace)(struct portable *s, const struct extent *e, struct extent_list *to);
int portable_replace_extents(struct portable *s, page_state_mask mask, portable_replace f);

/*
 * Swap entries and poison of the whole object, slot by slot (about 13 ns an entry); the kernel
 * looks only if it keeps count of any swap entry. -EOPNOTSUPP if the object is too small to be cut.
 */
int portable_count_entries(const struct portable *s, uint64_t *ret);

/* present or swap_cache, for pages in core; the accounting may be used if nothing moves */
int portable_resolve_in_core(struct portable *s, bool by_accounting);
/* are pages that were taken for swapped swap entries? */
int portable_verify_swapped(struct portable *s);
/* pages that were caught on the move */
int portable_resolve_unknown(struct portable *s);
/* swapped or poisoned */
int portable_resolve_poison(struct portable *s);
/* hole or allocated, where there is no cachestat */
int portable_resolve_no_data(struct portable *s);
