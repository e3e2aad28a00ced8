/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel's own bookkeeping says of an object, at a cost that does not depend on its size.
 * It proves things that would be dear to look up page by page, and it shows that nothing happened.
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "probe/kcaps.h"

struct account {
	uint64_t size;           /* bytes */
	uint64_t pages;          /* of the object, from size */
	uint64_t blocks;         /* pages: slots that are not empty, never written folios and poison
				    included */
	struct timespec changed; /* the object's ctime: every truncate and punch moves it */
	struct timespec now;     /* CLOCK_REALTIME when this was read */
	bool have_swapped;
	uint64_t swapped; /* pages: swap entries, no poison; too low by poison that was punched out
			   */
	bool have_beyond;
	uint64_t beyond;         /* pages of blocks that lie beyond the end of the object */
	uint64_t beyond_entries; /* those of them that are swap entries or poison */
	bool have_events;
	uint64_t swap_ins;  /* of the whole system, since boot */
	uint64_t swap_outs; /* likewise */
};

/* Returns 0 or a negative errno; what could not be had is marked so. */
int account_read(int fd, const struct kcaps *caps, struct account *ret);

/* Only what fstat says. The rest is for the caller to fill in, who has it from elsewhere. */
int account_read_stat(int fd, const struct kcaps *caps, struct account *ret);
/* Fills in the events, which take some 20 microseconds. */
void account_add_events(struct account *a);

/*
 * True when no page of the object can have changed state between the two readings, but for those
 * changes that leave no trace here: a page leaving the swap cache, and the first write to a page
 * that fallocate had made.
 */
bool account_is_quiet(const struct account *before, const struct account *after);

/* The same as far as the object's own accounting shows, whatever the rest of the system swaps. */
bool account_is_still(const struct account *before, const struct account *after);

/* True when blocks and swap entries are known to be those of the pages inside the object. */
bool account_is_whole(const struct account *a);
