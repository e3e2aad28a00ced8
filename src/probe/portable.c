/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/portable.h"
#include "probe/witness.h"
#include "util/stop.h"
#include "util/util.h"

/* Below this an object is looked at whole, since only for the whole does the accounting prove. */
#define SMALL_PAGES ((uint64_t)4096)

static void portable_done(struct portable *s)
{
	mincore_unmap(&s->probe.map);
	extent_list_done(&s->extents);
}

/* The pages to look at: what was asked for, within the object as large as it is now. */
static void crop(struct portable *s)
{
	const struct page_range *asked = &s->request->range;
	uint64_t pages = s->now.pages;

	s->size = s->now.size;
	if (pages <= SMALL_PAGES || (asked->first == 0 && asked->count >= pages)) {
		s->whole = true;
		s->first = 0;
		s->end = pages;
		return;
	}
	s->whole = false;
	s->first = MIN(asked->first, pages);
	s->end = s->first + MIN(asked->count, pages - s->first);
}

/* A page of the swap cache can have left it: only mincore needs to be asked. */
static int replace_by_mincore(struct portable *s, const struct extent *e, struct extent_list *to)
{
	unsigned char vec[WINDOW_PAGES];
	uint64_t at = e->first, end = e->first + e->count;

	while (at < end) {
		size_t n = MIN(end - at, WINDOW_PAGES);
		int r = stop_asked();

		if (r >= 0)
			r = mincore_read(&s->probe.map, at, n, vec);
		for (size_t i = 0; i < n && r >= 0; i++)
			r = extent_list_append(to, at + i, 1,
					       vec[i] & 1 ? PAGE_SWAP_CACHE : PAGE_SWAPPED);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

/* Nothing happened but what leaves no trace: look only at the pages to which it can happen. */
static int second_look_quiet(struct portable *s, struct extent_list *old)
{
	page_state_mask allocated = PAGE_STATE_BIT(PAGE_ALLOCATED);
	page_state_mask swap_cache = PAGE_STATE_BIT(PAGE_SWAP_CACHE);
	int r = 0;

	s->probe.sources |= SOURCE_ACCOUNTING;
	if (pages_in(s, allocated | swap_cache) == 0)
		return 0;
	for (size_t i = 0; i < s->extents.n_items && r >= 0; i++) {
		const struct extent *e = &s->extents.items[i];

		r = extent_list_append(old, e->first, e->count, e->state);
	}
	if (r >= 0)
		r = portable_replace_extents(s, swap_cache, replace_by_mincore);
	if (r >= 0 && pages_in(s, allocated) > 0)
		r = portable_look_again(s, allocated);
	if (r >= 0)
		r = portable_resolve_unknown(s);
	if (r >= 0)
		s->moved = extent_list_difference(old, &s->extents);
	return r;
}

/*
 * Something happened, perhaps to this object. What the first look put together may belong to
 * different moments; so the last word is with looks that tell right what holds still, until two
 * agree.
 */
static int second_look_full(struct portable *s, struct extent_list *old)
{
	for (int i = 0; i < MOVING_TRIES; i++) {
		int r;

		extent_list_done(old);
		*old = s->extents;
		s->extents = (struct extent_list){0};
		crop(s);
		r = portable_unquiet_look(s);
		if (r >= 0)
			r = portable_resolve_unknown(s);
		if (r >= 0)
			r = account_read(s->request->fd, s->request->caps, &s->now);
		if (r < 0)
			return r;
		s->moved = extent_list_difference(old, &s->extents);
		if (s->moved == 0)
			break;
	}
	return 0;
}

static int second_look(struct portable *s)
{
	struct extent_list old = {0};
	int r = account_read(s->request->fd, s->request->caps, &s->now);

	if (r < 0)
		return r;
	if (account_is_quiet(&s->before, &s->now) && pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) == 0)
		r = second_look_quiet(s, &old);
	else
		r = second_look_full(s, &old);
	extent_list_done(&old);
	/* A full look has read the account anew. */
	s->quiet = account_is_quiet(&s->before, &s->now);
	s->still = account_is_still(&s->before, &s->now);
	return r;
}

static int probe_object(struct portable *s)
{
	const struct probe_request *request = s->request;
	int r = mincore_check(request->fd, request->caps->page_size);

	if (r < 0)
		return r;
	r = account_read(request->fd, request->caps, &s->before);
	if (r < 0)
		return r;
	s->now = s->before;
	crop(s);
	r = portable_first_look(s);
	if (r < 0)
		return r;
	r = second_look(s);
	if (r < 0)
		return r;
	r = portable_resolve_no_data(s);
	if (r < 0)
		return r;
	r = portable_resolve_poison(s);
	if (r < 0)
		return r;
	return resolve_by_witness(request, &s->extents, &s->probe.sources);
}

/* The extents as a map, of pages [first, end) only. */
static int fill_map(const struct extent_list *extents, uint64_t first, uint64_t end,
		    struct state_map *ret)
{
	struct state_map map = {.first = first};

	for (size_t i = 0; i < extents->n_items; i++) {
		const struct extent *e = &extents->items[i];
		uint64_t from = MAX(e->first, first), to = MIN(e->first + e->count, end);
		int r = from < to ? state_map_append(&map, to - from, e->state) : 0;

		if (r < 0) {
			state_map_done(&map);
			return r;
		}
	}
	*ret = map;
	return 0;
}

/* Cuts it to what was asked for: of a small object all was looked at. */
static int fill_snapshot(struct portable *s, struct snapshot *ret)
{
	const struct page_range *asked = &s->request->range;
	uint64_t first = MIN(MAX(asked->first, s->first), s->end);
	uint64_t end = first + MIN(asked->count, s->end - first);
	struct snapshot answer = {
		.page_size = s->request->caps->page_size,
		.size = s->size,
		.first = first,
		.count = end - first,
		.probe = "portable",
		.sources = s->probe.sources,
		.reasons = s->reasons,
		.stable = s->moved == 0,
		.moved = s->moved,
	};
	int r = fill_map(&s->extents, first, end, &answer.map);

	if (r < 0)
		return r;
	memcpy(answer.counts, answer.map.counts, sizeof(answer.counts));
	if (answer.counts[PAGE_IN_CORE] > 0)
		answer.reasons |= SNAPSHOT_NO_CACHESTAT;
	*ret = answer;
	return 0;
}

int probe_portable(const struct probe_request *request, struct snapshot *ret)
{
	struct portable s = {
		.request = request,
		.probe = {.fd = request->fd,
			  .caps = request->caps,
			  .map = {.fd = request->fd, .page_size = request->caps->page_size}},
	};
	int r = probe_object(&s);

	if (r >= 0)
		r = fill_snapshot(&s, ret);
	portable_done(&s);
	return r;
}
