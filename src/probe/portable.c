/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "probe/account.h"
#include "probe/look.h"
#include "probe/probe.h"
#include "probe/seek.h"
#include "probe/smaps.h"
#include "probe/witness.h"
#include "util/util.h"

/* Below this an object is looked at whole, since only for the whole does the accounting prove. */
#define SMALL_PAGES ((uint64_t)4096)

/* Up to here extents are looked at one by one. */
#define FEW_EXTENTS 256

/* How often pages that move under the look are looked at again before they are called unknown. */
#define MOVING_TRIES 3

/* A request under way. */
struct portable {
	const struct probe_request *request;
	struct window_probe probe;
	struct account before; /* when it began */
	struct account now;    /* the latest */
	bool whole;            /* the whole object is looked at */
	uint64_t first;        /* pages looked at */
	uint64_t end;
	struct extent_list extents;
	enum page_state replacement;
	uint32_t reasons;
	uint64_t moved;
};

static void portable_done(struct portable *s)
{
	mincore_unmap(&s->probe.map);
	extent_list_done(&s->extents);
}

static uint64_t pages_in(const struct portable *s, page_state_mask mask)
{
	uint64_t counts[PAGE_STATE_MAX] = {0}, pages = 0;

	extent_list_count(&s->extents, counts);
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (mask & PAGE_STATE_BIT(i))
			pages += counts[i];
	return pages;
}

/* Slots that are not empty: what the kernel counts in st_blocks, and poison. */
static uint64_t occupied(const struct portable *s)
{
	return pages_in(s, ~(PAGE_STATE_BIT(PAGE_HOLE) | PAGE_STATE_BIT(PAGE_UNKNOWN)));
}

/* The pages to look at: what was asked for, within the object as large as it is now. */
static void crop(struct portable *s)
{
	const struct page_range *asked = &s->request->range;
	uint64_t pages = s->now.pages;

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

static int look_in_mode(struct portable *s, uint32_t mode)
{
	s->probe.mode = mode;
	s->probe.proved_end = 0;
	s->probe.disproved = false;
	extent_list_clear(&s->extents);
	return look(&s->probe, s->first, s->end, &s->extents);
}

/*
 * A mode that takes something for granted saves most of the time, where the accounting says that it
 * may hold. Afterwards it must be proved; 1 if it was.
 */
static int look_with_assumption(struct portable *s)
{
	uint32_t mode = 0;
	int r;

	if (!s->whole || !account_is_whole(&s->now))
		return 0;
	if (s->now.swapped == 0)
		mode = WINDOW_NEVER_SWAPPED;
	else if (s->now.blocks == s->now.pages)
		mode = WINDOW_ASSUME_DATA;
	else
		return 0;
	s->probe.sources |= SOURCE_ACCOUNTING;
	r = look_in_mode(s, mode);
	if (r < 0)
		return r;
	r = account_read(s->request->fd, s->request->caps, &s->now);
	if (r < 0)
		return r;
	if (!account_is_whole(&s->now) || s->probe.disproved)
		return 0;
	if (mode == WINDOW_NEVER_SWAPPED)
		return s->now.swapped == 0 && occupied(s) == s->now.blocks;
	/*
	 * Every slot is full. Those out of core are as many as there are swap entries, and no page
	 * is in core without being known as a folio: so they are the swap entries.
	 */
	if (s->now.blocks != s->now.pages)
		return 0;
	if (pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED)) == s->now.swapped &&
	    pages_in(s, PAGE_STATE_BIT(PAGE_IN_CORE)) == 0)
		return 1;
	s->probe.sources |= SOURCE_SEEK;
	return seek_all_data(s->request->fd, s->request->caps->page_size, s->first, s->end);
}

static int first_look(struct portable *s)
{
	int r = look_with_assumption(s);

	if (r != 0)
		return r < 0 ? r : 0;
	/* What the accounting will not be able to settle is better asked for at once. */
	return look_in_mode(s, s->whole && account_is_whole(&s->now) ? 0 : WINDOW_THOROUGH);
}

/* Runs every extent in one of the states through f, which appends what it found to the new list. */
typedef int (*replace_fn)(struct portable *s, const struct extent *e, struct extent_list *to);

static int replace_extents(struct portable *s, page_state_mask mask, replace_fn f)
{
	struct extent_list list = {0};
	int r = 0;

	if (pages_in(s, mask) == 0)
		return 0;
	for (size_t i = 0; i < s->extents.n_items && r >= 0; i++) {
		const struct extent *e = &s->extents.items[i];

		if (mask & PAGE_STATE_BIT(e->state))
			r = f(s, e, &list);
		else
			r = extent_list_append(&list, e->first, e->count, e->state);
	}
	if (r < 0) {
		extent_list_done(&list);
		return r;
	}
	extent_list_done(&s->extents);
	s->extents = list;
	return 0;
}

static int replace_by_state(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return extent_list_append(to, e->first, e->count, s->replacement);
}

static int set_state(struct portable *s, page_state_mask mask, enum page_state state)
{
	s->replacement = state;
	return replace_extents(s, mask, replace_by_state);
}

static int replace_by_look(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return look(&s->probe, e->first, e->first + e->count, to);
}

static int look_again(struct portable *s, page_state_mask mask)
{
	s->probe.mode = WINDOW_THOROUGH;
	return replace_extents(s, mask, replace_by_look);
}

/*
 * Pages in core may be folios of the object or of the swap cache. If all slots are accounted for
 * (no poison) and as many are out of core as there are swap entries, none is in the swap cache.
 */
static int resolve_in_core(struct portable *s)
{
	page_state_mask in_core = PAGE_STATE_BIT(PAGE_IN_CORE);

	if (pages_in(s, in_core) == 0 || !kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	if (s->whole && account_is_whole(&s->now) && occupied(s) == s->now.blocks &&
	    pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED)) == s->now.swapped) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		return set_state(s, in_core, PAGE_PRESENT);
	}
	/* Many short runs cost more calls than the windows of a whole look. */
	if (s->extents.n_items > FEW_EXTENTS)
		return look_in_mode(s, WINDOW_THOROUGH);
	return look_again(s, in_core);
}

/* Pages whose facts contradicted each other were caught on the move: they may have come to rest. */
static int resolve_unknown(struct portable *s)
{
	if (!kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	for (int i = 0; i < MOVING_TRIES && pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) > 0; i++) {
		int r = look_again(s, PAGE_STATE_BIT(PAGE_UNKNOWN));

		if (r < 0)
			return r;
	}
	if (pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) > 0)
		s->reasons |= SNAPSHOT_KEPT_MOVING;
	return 0;
}

/* Nothing happened but what leaves no trace: look only at the pages to which it can happen. */
static int second_look_quiet(struct portable *s, struct extent_list *old)
{
	page_state_mask traceless = PAGE_STATE_BIT(PAGE_ALLOCATED) | PAGE_STATE_BIT(PAGE_SWAP_CACHE);
	int r = 0;

	s->probe.sources |= SOURCE_ACCOUNTING;
	if (pages_in(s, traceless) == 0)
		return 0;
	for (size_t i = 0; i < s->extents.n_items && r >= 0; i++) {
		const struct extent *e = &s->extents.items[i];

		r = extent_list_append(old, e->first, e->count, e->state);
	}
	if (r >= 0)
		r = look_again(s, traceless);
	if (r >= 0)
		r = resolve_unknown(s);
	if (r >= 0)
		s->moved = extent_list_difference(old, &s->extents);
	return r;
}

static int second_look_full(struct portable *s, struct extent_list *old)
{
	int r;

	*old = s->extents;
	s->extents = (struct extent_list){0};
	crop(s);
	r = look_in_mode(s, WINDOW_THOROUGH);
	if (r >= 0)
		r = resolve_unknown(s);
	if (r >= 0)
		r = account_read(s->request->fd, s->request->caps, &s->now);
	if (r >= 0)
		s->moved = extent_list_difference(old, &s->extents);
	return r;
}

static int second_look(struct portable *s)
{
	struct extent_list old = {0};
	int r = account_read(s->request->fd, s->request->caps, &s->now);

	if (r < 0)
		return r;
	if (account_is_quiet(&s->before, &s->now) &&
	    pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) == 0)
		r = second_look_quiet(s, &old);
	else
		r = second_look_full(s, &old);
	extent_list_done(&old);
	return r;
}

/*
 * How many slots hold poison: the kernel leaves it out where it keeps count of swap entries, and
 * counts it where it goes over the slots. 0 and *ret, or a negative errno.
 */
static int count_poison(struct portable *s, uint64_t *ret)
{
	const struct kcaps *caps = s->request->caps;
	uint64_t pages = s->now.pages, border = pages - 1, before, entries, after;
	int fd = s->request->fd, r;

	/* Entries of several pages exist only where cachestat does, and a window cuts none. */
	if (kcaps_has(caps, KCAP_CACHESTAT))
		border = border / WINDOW_PAGES * WINDOW_PAGES;
	for (int i = 0; i < MOVING_TRIES; i++) {
		r = smaps_swapped(fd, caps->page_size, pages, &before);
		if (r < 0)
			return r;
		if (before == 0) {
			*ret = pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED));
			return 0;
		}
		if (border == 0)
			return -EOPNOTSUPP;
		r = smaps_count_entries(fd, caps->page_size, pages, border, &entries);
		if (r < 0)
			return r;
		r = smaps_swapped(fd, caps->page_size, pages, &after);
		if (r < 0)
			return r;
		if (before == after && entries >= after) {
			*ret = entries - after;
			return 0;
		}
	}
	return -EAGAIN;
}

/* What a failed swap-in left behind looks like a swap entry to lseek, mincore and cachestat. */
static int resolve_poison(struct portable *s)
{
	page_state_mask swapped = PAGE_STATE_BIT(PAGE_SWAPPED);
	uint64_t poison;
	int r;

	if (pages_in(s, swapped) == 0)
		return 0;
	if (s->whole && s->now.have_beyond && pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) == 0) {
		if (occupied(s) + s->now.beyond == s->now.blocks)
			return 0;
		if (occupied(s) + s->now.beyond > s->now.blocks && s->now.have_swapped &&
		    s->now.swapped == 0)
			return set_state(s, swapped, PAGE_POISONED);
	}
	s->probe.sources |= SOURCE_ACCOUNTING;
	r = count_poison(s, &poison);
	if (r < 0 && r != -ENOMEM) {
		s->reasons |= SNAPSHOT_POISON_UNCHECKED;
		return set_state(s, swapped, PAGE_UNKNOWN);
	}
	if (r < 0 || poison == 0)
		return r;
	if ((s->whole || s->now.swapped == 0) && poison >= pages_in(s, swapped))
		return set_state(s, swapped, PAGE_POISONED);
	s->reasons |= SNAPSHOT_POISON_UNPLACED;
	return set_state(s, swapped, PAGE_UNKNOWN);
}

/*
 * Without cachestat, pages without data are holes or allocated. If the pages with data account for
 * all of the object's blocks, nothing is left to be allocated.
 */
static int resolve_no_data(struct portable *s)
{
	page_state_mask unknown = PAGE_STATE_BIT(PAGE_UNKNOWN);
	uint64_t poison = 0;

	if (kcaps_has(s->request->caps, KCAP_CACHESTAT) || pages_in(s, unknown) == 0)
		return 0;
	if (s->whole && s->moved == 0 && occupied(s) == s->now.blocks &&
	    (occupied(s) == 0 || (count_poison(s, &poison) == 0 && poison == 0))) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		return set_state(s, unknown, PAGE_HOLE);
	}
	s->reasons |= SNAPSHOT_ALLOCATED_UNPLACED;
	return 0;
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
	r = first_look(s);
	if (r < 0)
		return r;
	r = resolve_in_core(s);
	if (r < 0)
		return r;
	r = second_look(s);
	if (r < 0)
		return r;
	r = resolve_no_data(s);
	if (r < 0)
		return r;
	r = resolve_poison(s);
	if (r < 0)
		return r;
	return resolve_by_witness(request, &s->extents, &s->probe.sources);
}

/* Cuts the extents to what was asked for: of a small object all was looked at. */
static int fill_snapshot(const struct portable *s, struct snapshot *ret)
{
	const struct page_range *asked = &s->request->range;
	uint64_t first = MIN(MAX(asked->first, s->first), s->end);
	uint64_t end = first + MIN(asked->count, s->end - first);
	struct snapshot answer = {
		.page_size = s->request->caps->page_size,
		.size = s->now.size,
		.first = first,
		.count = end - first,
		.probe = "portable",
		.sources = s->probe.sources,
		.reasons = s->reasons,
		.stable = s->moved == 0,
		.moved = s->moved,
	};
	int r = 0;

	for (size_t i = 0; i < s->extents.n_items && r >= 0; i++) {
		const struct extent *e = &s->extents.items[i];
		uint64_t from = MAX(e->first, first), to = MIN(e->first + e->count, end);

		if (from < to)
			r = extent_list_append(&answer.extents, from, to - from, e->state);
	}
	if (r < 0) {
		snapshot_done(&answer);
		return r;
	}
	extent_list_count(&answer.extents, answer.counts);
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
