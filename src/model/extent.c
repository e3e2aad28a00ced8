/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/extent.h"
#include "util/array.h"
#include "util/util.h"

void extent_list_done(struct extent_list *list)
{
	free(list->items);
	*list = (struct extent_list){0};
}

void extent_list_clear(struct extent_list *list)
{
	list->n_items = 0;
	memset(list->counts, 0, sizeof(list->counts));
}

int extent_list_append(struct extent_list *list, uint64_t first, uint64_t count,
		       enum page_state state)
{
	struct extent *last = list->n_items > 0 ? &list->items[list->n_items - 1] : NULL;
	int r;

	if (count == 0)
		return 0;
	if (last && last->first + last->count != first)
		return -EINVAL;
	if (last && last->state == state) {
		last->count += count;
		list->counts[state] += count;
		return 0;
	}
	r = ARRAY_RESERVE(&list->items, &list->n_allocated, list->n_items);
	if (r < 0)
		return r;
	list->items[list->n_items++] =
		(struct extent){.first = first, .count = count, .state = state};
	list->counts[state] += count;
	return 0;
}

void extent_list_set_state(struct extent_list *list, page_state_mask mask, enum page_state state)
{
	struct extent_list joined = {.items = list->items, .n_allocated = list->n_allocated};

	/* In place: what is written never overtakes what is read, and so never has to grow. */
	for (size_t i = 0; i < list->n_items; i++) {
		struct extent e = list->items[i];

		if (mask & PAGE_STATE_BIT(e.state))
			e.state = state;
		extent_list_append(&joined, e.first, e.count, e.state);
	}
	*list = joined;
}

uint64_t extent_list_pages(const struct extent_list *list, page_state_mask mask)
{
	uint64_t pages = 0;

	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (mask & PAGE_STATE_BIT(i))
			pages += list->counts[i];
	return pages;
}

static uint64_t list_pages(const struct extent_list *list)
{
	return extent_list_pages(list, ~(page_state_mask)0);
}

uint64_t extent_list_difference(const struct extent_list *a, const struct extent_list *b)
{
	uint64_t common = 0, same = 0;
	size_t i = 0, k = 0;

	while (i < a->n_items && k < b->n_items) {
		const struct extent *x = &a->items[i], *y = &b->items[k];
		uint64_t start = MAX(x->first, y->first);
		uint64_t x_end = x->first + x->count, y_end = y->first + y->count;
		uint64_t n = MIN(x_end, y_end) > start ? MIN(x_end, y_end) - start : 0;

		common += n;
		same += x->state == y->state ? n : 0;
		i += x_end <= y_end;
		k += y_end <= x_end;
	}
	return list_pages(a) + list_pages(b) - common - same;
}
