/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "probe/cachestat.h"
#include "probe/portable.h"
#include "probe/slots.h"
#include "probe/smaps.h"
#include "util/util.h"

/* What is counted at once: a call costs as much as some 500 pages. */
#define CHUNK_PAGES 8192

int portable_count_entries(const struct portable *s, uint64_t *ret)
{
	const struct kcaps *caps = s->request->caps;
	uint64_t border = s->now.pages - 1;

	/* Entries of several pages exist only where cachestat does, and a window cuts none. */
	if (kcaps_has(caps, KCAP_CACHESTAT))
		border = border / WINDOW_PAGES * WINDOW_PAGES;
	if (border == 0)
		return -EOPNOTSUPP;
	return smaps_count_entries(s->request->fd, caps->page_size, s->now.pages, border, ret);
}

/*
 * None of the pages in core is in the swap cache, if as many are out of core as there are swap
 * entries, and no slot holds poison (which is out of core too).
 */
static bool is_swap_cache_empty(struct portable *s)
{
	uint64_t entries;

	if (!s->whole || !account_is_whole(&s->now) || s->now.swapped == 0 ||
	    pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED)) != s->now.swapped)
		return false;
	s->probe.sources |= SOURCE_ACCOUNTING;
	return portable_count_entries(s, &entries) == 0 && entries == s->now.swapped;
}

static int append_in_core(void *context, uint64_t first, uint64_t count, page_facts facts)
{
	/* In core means uptodate, and so data: there is no need to ask again. */
	return extent_list_append(context, first, count, classify(FACT_IN_CORE | facts));
}

/*
 * Swap entries among at most CHUNK_PAGES pages in core: smaps counts ten times as fast as
 * cachestat, which then only has to go into chunks of both kinds.
 */
static int split_in_core(struct portable *s, uint64_t first, uint64_t count, struct extent_list *to)
{
	const struct kcaps *caps = s->request->caps;
	bool aligned = (first | count) % WINDOW_PAGES == 0;
	uint64_t entries;

	/* Where the kernel keeps count of no swap entry it does not look. */
	if (count >= WINDOW_PAGES && s->now.have_swapped && s->now.swapped > 0 &&
	    smaps_count_part(s->request->fd, caps->page_size, s->now.pages, first, count,
			     &entries) == 0) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		if (entries == 0)
			return append_in_core(to, first, count, FACT_FOLIO);
		if (entries == count && aligned)
			return append_in_core(to, first, count, FACT_ENTRY);
	}
	s->probe.sources |= SOURCE_CACHESTAT;
	return slots_find(s->request->fd, caps->page_size, first, count, append_in_core, to);
}

static int replace_in_core(struct portable *s, const struct extent *e, struct extent_list *to)
{
	uint64_t at = e->first, end = e->first + e->count;

	while (at < end) {
		uint64_t next = MIN(end, (at / CHUNK_PAGES + 1) * CHUNK_PAGES);
		int r = split_in_core(s, at, next - at, to);

		if (r < 0)
			return r;
		at = next;
	}
	return 0;
}

int portable_resolve_in_core(struct portable *s)
{
	page_state_mask in_core = PAGE_STATE_BIT(PAGE_IN_CORE);

	if (pages_in(s, in_core) == 0 || !kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	if (!is_swap_cache_empty(s))
		return portable_replace_extents(s, in_core, replace_in_core);
	extent_list_set_state(&s->extents, in_core, PAGE_PRESENT);
	return 0;
}

/* Pages whose facts contradicted each other were caught on the move: they may have come to rest. */
int portable_resolve_unknown(struct portable *s)
{
	if (!kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	for (int i = 0; i < MOVING_TRIES && pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) > 0; i++) {
		int r = portable_look_again(s, PAGE_STATE_BIT(PAGE_UNKNOWN));

		if (r < 0)
			return r;
	}
	if (pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) > 0)
		s->reasons |= SNAPSHOT_KEPT_MOVING;
	return 0;
}

/* All pages are known, and so how many of them are swap entries or poison. */
static bool have_entries(const struct portable *s, uint64_t *ret)
{
	page_state_mask entries = PAGE_STATE_BIT(PAGE_SWAPPED) | PAGE_STATE_BIT(PAGE_SWAP_CACHE);
	page_state_mask doubtful = PAGE_STATE_BIT(PAGE_UNKNOWN) | PAGE_STATE_BIT(PAGE_IN_CORE);

	*ret = pages_in(s, entries) + s->now.beyond_entries;
	return s->whole && s->now.have_beyond && pages_in(s, doubtful) == 0;
}

/*
 * Poison is what remains of the slots that hold an entry when the kernel's own count of swap
 * entries is taken away. The slots are counted once more for it, since the look is older than that
 * count.
 */
static int count_poison(struct portable *s, uint64_t *ret)
{
	const struct kcaps *caps = s->request->caps;
	uint64_t before, entries, after;

	for (int i = 0; i < MOVING_TRIES; i++) {
		int r = smaps_swapped(s->request->fd, caps->page_size, s->now.pages, &before);

		if (r < 0)
			return r;
		if (before == 0) {
			*ret = pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED));
			return 0;
		}
		r = portable_count_entries(s, &entries);
		if (r == -EOPNOTSUPP && have_entries(s, &entries))
			entries -= s->now.beyond_entries;
		else if (r < 0)
			return r;
		r = smaps_swapped(s->request->fd, caps->page_size, s->now.pages, &after);
		if (r < 0)
			return r;
		entries += s->now.beyond_entries;
		if (before == after && entries >= after) {
			*ret = entries - after;
			return 0;
		}
	}
	return -EAGAIN;
}

/*
 * Of pages that are swapped or poisoned: a swap entry that left the swap cache not long ago has
 * left a mark there, poison never has. Those without a mark become unknown here.
 */
static int split_by_mark(struct portable *s, uint64_t first, uint64_t count, struct extent_list *to)
{
	struct slot_counts n;
	int r = cachestat_count(s->request->fd, s->request->caps->page_size, first, count, &n);

	if (r < 0)
		return r;
	if (n.entries == count && n.recent == count)
		return extent_list_append(to, first, count, PAGE_SWAPPED);
	if (n.recent == 0 || count == 1)
		return extent_list_append(to, first, count, PAGE_UNKNOWN);
	r = split_by_mark(s, first, count / 2, to);
	return r < 0 ? r : split_by_mark(s, first + count / 2, count - count / 2, to);
}

static int replace_by_mark(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return split_by_mark(s, e->first, e->count, to);
}

static int place_poison(struct portable *s, uint64_t poison)
{
	page_state_mask swapped = PAGE_STATE_BIT(PAGE_SWAPPED),
			unknown = PAGE_STATE_BIT(PAGE_UNKNOWN);
	bool all_known = pages_in(s, unknown) == 0;
	int r;

	if (!kcaps_has(s->request->caps, KCAP_CACHESTAT)) {
		extent_list_set_state(&s->extents, swapped, PAGE_UNKNOWN);
	} else {
		r = portable_replace_extents(s, swapped, replace_by_mark);
		if (r < 0)
			return r;
	}
	/* As many without a mark as there is poison, or none that was ever counted as swapped. */
	if (all_known && ((s->whole && pages_in(s, unknown) == poison) ||
			  (s->now.have_swapped && s->now.swapped == 0)))
		extent_list_set_state(&s->extents, unknown, PAGE_POISONED);
	if (pages_in(s, unknown) > 0)
		s->reasons |= SNAPSHOT_POISON_UNPLACED;
	return 0;
}

/* What a failed swap-in left behind looks like a swap entry to lseek, mincore and cachestat. */
int portable_resolve_poison(struct portable *s)
{
	page_state_mask swapped = PAGE_STATE_BIT(PAGE_SWAPPED);
	uint64_t entries, poison;
	int r;

	if (pages_in(s, swapped) == 0)
		return 0;
	if (s->now.have_swapped && have_entries(s, &entries) && entries == s->now.swapped)
		return 0;
	s->probe.sources |= SOURCE_ACCOUNTING;
	r = count_poison(s, &poison);
	if (r == -ENOMEM || (r == 0 && poison == 0))
		return r;
	if (r == 0)
		return place_poison(s, poison);
	s->reasons |= SNAPSHOT_POISON_UNCHECKED;
	extent_list_set_state(&s->extents, swapped, PAGE_UNKNOWN);
	return 0;
}

/*
 * Without cachestat, pages without data are holes or allocated. If the pages with data account for
 * all of the object's blocks, nothing is left to be allocated.
 */
int portable_resolve_no_data(struct portable *s)
{
	page_state_mask unknown = PAGE_STATE_BIT(PAGE_UNKNOWN);

	if (kcaps_has(s->request->caps, KCAP_CACHESTAT) || pages_in(s, unknown) == 0)
		return 0;
	if (s->whole && s->moved == 0 && occupied(s) == s->now.blocks) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		extent_list_set_state(&s->extents, unknown, PAGE_HOLE);
		return 0;
	}
	s->reasons |= SNAPSHOT_ALLOCATED_UNPLACED;
	return 0;
}
