/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Extents: runs of pages in one state, in order and without gaps. All numbers are pages of the
 * object, counted from its start.
 */

#include <stddef.h>
#include <stdint.h>

#include "model/state.h"

struct extent {
	uint64_t first;
	uint64_t count;
	enum page_state state;
};

/* Owns items. An all-zero list is an empty one. */
struct extent_list {
	struct extent *items;
	size_t n_items;
	size_t n_allocated;
	uint64_t counts[PAGE_STATE_MAX]; /* pages in each state */
};

void extent_list_done(struct extent_list *list);

/* Forgets the extents, keeps the memory. */
void extent_list_clear(struct extent_list *list);

/*
 * Appends count pages in state behind the last one; pages in the same state as the last extent
 * lengthen it. first must be where the list ends (or anything for an empty list).
 * Returns 0, -ENOMEM, or -EINVAL when it does not follow on.
 */
int extent_list_append(struct extent_list *list, uint64_t first, uint64_t count,
		       enum page_state state);

/* Puts all pages in the states of the mask into one state, and joins what then belongs together. */
void extent_list_set_state(struct extent_list *list, page_state_mask mask, enum page_state state);

/* Pages in any of the states. */
uint64_t extent_list_pages(const struct extent_list *list, page_state_mask mask);

/*
 * How many pages differ between the two. A page that only one of them covers differs.
 */
uint64_t extent_list_difference(const struct extent_list *a, const struct extent_list *b);
