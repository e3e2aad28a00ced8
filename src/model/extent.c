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

static uint64_t list_first(const struct extent_list *list)
{
	return list->n_items > 0 ? list->items[0].first : UINT64_MAX;
}

static uint64_t list_pages(const struct extent_list *list)
{
	return extent_list_pages(list, ~(page_state_mask)0);
}

uint64_t extent_list_difference(const struct extent_list *a, const struct extent_list *b)
{
	uint64_t common = 0, same = 0;
	size_t i = 0, k = 0;

	if (a->n_items == 0 || b->n_items == 0 || list_first(a) != list_first(b))
		return MAX(list_pages(a), list_pages(b));

	while (i < a->n_items && k < b->n_items) {
		const struct extent *x = &a->items[i], *y = &b->items[k];
		uint64_t start = MAX(x->first, y->first);
		uint64_t end = MIN(x->first + x->count, y->first + y->count);

		common += end - start;
		if (x->state == y->state)
			same += end - start;
		if (x->first + x->count == end)
			i++;
		if (y->first + y->count == end)
			k++;
	}
	return common - same + MAX(list_pages(a), list_pages(b)) - common;
}
