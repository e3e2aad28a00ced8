/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "util/array.h"
#include "util/ranges.h"
#include "util/util.h"

void page_ranges_done(struct page_ranges *r)
{
	free(r->items);
	*r = (struct page_ranges){0};
}

int page_ranges_add(struct page_ranges *r, uint64_t first, uint64_t count)
{
	if (ARRAY_RESERVE(&r->items, &r->n_allocated, r->n_items) < 0)
		return -ENOMEM;
	r->items[r->n_items++] = (struct page_range){first, count};
	return 0;
}

int page_ranges_move(struct page_ranges *r, struct page_ranges *from)
{
	size_t before = r->n_items;

	for (size_t i = 0; i < from->n_items; i++) {
		if (page_ranges_add(r, from->items[i].first, from->items[i].count) < 0) {
			r->n_items = before;
			return -ENOMEM;
		}
	}
	page_ranges_done(from);
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct page_range *)a)->first;
	uint64_t y = ((const struct page_range *)b)->first;

	return (x > y) - (x < y);
}

/* There are no more pages than UINT64_MAX, and nobody counts the last. */
static uint64_t end_of(const struct page_range *r)
{
	return r->count < UINT64_MAX - r->first ? r->first + r->count : UINT64_MAX;
}

void page_ranges_sort(struct page_ranges *r)
{
	size_t n = 0;

	if (r->n_items > 0)
		qsort(r->items, r->n_items, sizeof(*r->items), compare);
	for (size_t i = 0; i < r->n_items; i++) {
		struct page_range *last = n > 0 ? &r->items[n - 1] : NULL, next = r->items[i];

		if (last && next.first <= end_of(last))
			last->count = MAX(end_of(last), end_of(&next)) - last->first;
		else
			r->items[n++] = (struct page_range){next.first, end_of(&next) - next.first};
	}
	r->n_items = n;
}

bool page_ranges_cut(const struct page_ranges *r, size_t *at, struct page_range *of,
		     struct page_range *ret)
{
	uint64_t end = end_of(of), first, stop;

	while (*at < r->n_items && end_of(&r->items[*at]) <= of->first)
		(*at)++;
	if (*at == r->n_items)
		return false;
	first = MAX(r->items[*at].first, of->first);
	stop = MIN(end_of(&r->items[*at]), end);
	if (first >= stop)
		return false;
	*ret = (struct page_range){first, stop - first};
	*of = (struct page_range){stop, end - stop};
	return true;
}
