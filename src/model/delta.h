/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is not as it was: two snapshots of one object, compared page by page. Goes over whole blocks
 * that are the same at the speed of memory. No system calls.
 */

#include <stdbool.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "util/parse.h"

/* Instead of a state: the page lies behind the end of the object, which has another size now. */
#define CHANGE_BEYOND (-1)

/* Pages that follow each other, and went from one state to another. from and to differ. */
struct change {
	uint64_t first; /* pages of the object */
	uint64_t count;
	int from; /* enum page_state, or CHANGE_BEYOND */
	int to;   /* likewise */
};

/* A comparison under way. A copy remembers the place. The snapshots are borrowed. */
struct delta {
	const struct snapshot *old;
	const struct snapshot *new;
	uint64_t at;     /* pages before this one have been compared */
	uint64_t common; /* up to here both have pages */
	uint64_t end;    /* up to here one of them has */
	size_t old_span; /* where `at` lies */
	size_t new_span;
	uint64_t block; /* the first page of these: */
	struct state_block old_block;
	struct state_block new_block;
	uint64_t left; /* pages of the block that differ and have not been told */
	struct change next;
	bool have_next;
};

/*
 * From page `first` on. Both must have been asked for this range, or for more: see
 * delta_is_covered().
 */
struct delta delta_seek(const struct snapshot *old, const struct snapshot *new, uint64_t first);

/*
 * Nothing from page `end` on is told: for who asked about pages up to there, and not about what
 * lies behind the end of an object that is shorter now.
 */
void delta_stop_at(struct delta *d, uint64_t end);

/* Does the snapshot tell of all pages of the range that there were? */
bool delta_is_covered(const struct snapshot *s, struct page_range range);

/*
 * The longest run that begins with the next page that differs. Returns false at the end. Where the
 * range of the two ends before the end of the object, pages of only one of them are not told.
 */
bool delta_next(struct delta *d, struct change *ret);

/* Is one of the two in the states of the mask? */
bool change_concerns(const struct change *c, page_state_mask mask);

/* No page differs, nor does the size, and both are about the same pages. */
bool delta_is_empty(const struct snapshot *a, const struct snapshot *b);
