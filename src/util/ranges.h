/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ranges of pages, gathered as they come and then put in order. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/parse.h"

/* Owns items. All zero: empty. */
struct page_ranges {
	struct page_range *items;
	size_t n_items, n_allocated;
};

void page_ranges_done(struct page_ranges *r);

/* Returns 0 or -ENOMEM. */
int page_ranges_add(struct page_ranges *r, uint64_t first, uint64_t count);

/* All of another, which is empty afterwards. Returns 0, or -ENOMEM with nothing changed. */
int page_ranges_move(struct page_ranges *r, struct page_ranges *from);

/* Puts them in order; those that touch or overlap become one. */
void page_ranges_sort(struct page_ranges *r);

/*
 * The next part of `of` that is in the ranges, which are in order. Takes it, and what is before it,
 * off `of`; *at, 0 at first, goes on from one `of` to the next. Returns false if there is none.
 */
bool page_ranges_cut(const struct page_ranges *r, size_t *at, struct page_range *of,
		     struct page_range *ret);
