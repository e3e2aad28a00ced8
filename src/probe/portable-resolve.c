/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "probe/cachestat.h"
#include "probe/portable.h"
#include "probe/slots.h"
#include "probe/smaps.h"
#include "util/stop.h"
#include "util/util.h"

/* What is counted at once: a call costs as much as some 500 pages. */
#define CHUNK_PAGES 8192

int portable_count_entries(const struct portable *s, uint64_t *ret)
{
	const struct kcaps *caps = s->request->caps;
	uint64_t border = s->now.pages - 1, end = s->now.pages, entries;
	struct slot_counts beyond = {0};
	int fd = s->request->fd, r;

	/* Entries of several pages exist only where cachestat does, and a window cuts none. */
	if (kcaps_has(caps, KCAP_CACHESTAT)) {
		border = border / WINDOW_PAGES * WINDOW_PAGES;
		end = border + WINDOW_PAGES;
		r = cachestat_count(fd, caps->page_size, end, 0, &beyond);
		if (r < 0)
			return r;
	}
	if (border == 0)
		return -EOPNOTSUPP;
	r = smaps_count_entries(fd, caps->page_size, border, end, &entries);
	if (r < 0)
		return r;
	*ret = entries + beyond.entries;
	return 0;
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

static int append_out_of_core(void *context, uint64_t first, uint64_t count, page_facts facts)
{
	return extent_list_append(context, first, count,
				  classify(FACT_DATA | FACT_NOT_IN_CORE | facts));
}

/*
 * What lies in the slots of at most CHUNK_PAGES pages with data: smaps counts entries ten times as
 * fast as cachestat, which then only has to go into chunks of both kinds.
 */
static int find_entries(struct portable *s, uint64_t first, uint64_t count, slots_emit emit,
			struct extent_list *to)
{
	const struct kcaps *caps = s->request->caps;
	bool aligned = (first | count) % WINDOW_PAGES == 0;
	uint64_t entries;

	/* Where the kernel keeps count of no swap entry it does not look. */
	if (count >= WINDOW_PAGES && s->now.have_swapped && s->now.swapped > 0 &&
	    smaps_count_part(s->request->fd, caps->page_size, s->now.pages, first, count,
			     &entries) == 0) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		if (entries == 0 && emit == append_in_core)
			return emit(to, first, count, FACT_FOLIO);
		if (entries == count && aligned)
			return emit(to, first, count, FACT_ENTRY);
	}
	s->probe.sources |= SOURCE_CACHESTAT;
	return slots_find(s->request->fd, caps->page_size, first, count, emit, to);
}

/* Cuts an extent where smaps can count without cutting an entry. */
static int replace_by_entries(struct portable *s, const struct extent *e, slots_emit emit,
			      struct extent_list *to)
{
	uint64_t at = e->first, end = e->first + e->count;

	while (at < end) {
		uint64_t next = MIN(end, (at / CHUNK_PAGES + 1) * CHUNK_PAGES);
		int r = stop_asked();

		if (at % WINDOW_PAGES != 0)
			next = MIN(next, (at / WINDOW_PAGES + 1) * WINDOW_PAGES);
		else if (next % WINDOW_PAGES != 0 && next - at > WINDOW_PAGES)
			next = next / WINDOW_PAGES * WINDOW_PAGES;
		if (r >= 0)
			r = find_entries(s, at, next - at, emit, to);
		if (r < 0)
			return r;
		at = next;
	}
	return 0;
}

static int replace_in_core(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return replace_by_entries(s, e, append_in_core, to);
}

static int replace_swapped(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return replace_by_entries(s, e, append_out_of_core, to);
}

int portable_resolve_in_core(struct portable *s, bool by_accounting)
{
	page_state_mask in_core = PAGE_STATE_BIT(PAGE_IN_CORE);

	if (pages_in(s, in_core) == 0 || !kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	if (!by_accounting || !is_swap_cache_empty(s))
		return portable_replace_extents(s, in_core, replace_in_core);
	extent_list_set_state(&s->extents, in_core, PAGE_PRESENT);
	return 0;
}

/* Out of core and with data, but asked one after the other: what was punched in between is neither.
 */
int portable_verify_swapped(struct portable *s)
{
	if (!kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	return portable_replace_extents(s, PAGE_STATE_BIT(PAGE_SWAPPED), replace_swapped);
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
 * How many slots with an entry the kernel's own count of swap entries does not explain: poison, if
 * nothing moves. Else the count over the slots and that number are of different moments: the least
 * excess of some tries is taken, since poison stays and movement does not.
 */
static int count_unexplained(struct portable *s, uint64_t *ret)
{
	uint64_t least = UINT64_MAX, before, entries, after, swapped;

	for (int i = 0; i < MOVING_TRIES && least > 0; i++) {
		int fd = s->request->fd, r;

		r = smaps_swapped(fd, s->request->caps->page_size, s->now.pages, &before);
		if (r < 0)
			return r;
		r = before > 0 ? portable_count_entries(s, &entries) : -EOPNOTSUPP;
		if (r == -EOPNOTSUPP && !have_entries(s, &entries))
			entries = pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED));
		else if (r < 0 && r != -EOPNOTSUPP)
			return r;
		r = smaps_swapped(fd, s->request->caps->page_size, s->now.pages, &after);
		if (r < 0)
			return r;
		swapped = MAX(before, after);
		least = MIN(least, entries > swapped ? entries - swapped : 0);
	}
	*ret = least;
	return 0;
}

/*
 * Of pages that are swapped or poisoned: a swap entry that left the swap cache not long ago has
 * left a mark there, poison never has. Those without a mark become unknown here, for the time
 * being; what is no entry any more has moved, and is unknown for that.
 */
static int split_by_mark(struct portable *s, uint64_t first, uint64_t count, struct extent_list *to)
{
	struct slot_counts n;
	int r = cachestat_count(s->request->fd, s->request->caps->page_size, first, count, &n);

	if (r < 0)
		return r;
	if (n.entries == count && n.recent == count)
		return extent_list_append(to, first, count, PAGE_SWAPPED);
	if ((n.entries == count && n.recent == 0) || count == 1) {
		s->n_left_entries += count - n.entries;
		return extent_list_append(to, first, count, PAGE_UNKNOWN);
	}
	r = split_by_mark(s, first, count / 2, to);
	return r < 0 ? r : split_by_mark(s, first + count / 2, count - count / 2, to);
}

static int replace_by_mark(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return split_by_mark(s, e->first, e->count, to);
}

/*
 * Pages without a mark are poison for sure only where nothing moved, and as many as are
 * unexplained; or where the kernel keeps count of no swap entry at all.
 */
static bool is_placed(const struct portable *s, uint64_t unexplained)
{
	if (s->n_left_entries > 0 || !s->still)
		return false;
	if (s->now.swapped == 0)
		return true;
	return s->quiet && s->whole && pages_in(s, PAGE_STATE_BIT(PAGE_UNKNOWN)) == unexplained;
}

static int place_poison(struct portable *s, uint64_t unexplained)
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
	if (all_known && is_placed(s, unexplained))
		extent_list_set_state(&s->extents, unknown, PAGE_POISONED);
	/* What was an entry in both looks and is none now has moved all the same. */
	s->moved += s->n_left_entries;
	if (s->n_left_entries > 0)
		s->reasons |= SNAPSHOT_KEPT_MOVING;
	if (pages_in(s, unknown) > s->n_left_entries)
		s->reasons |= SNAPSHOT_POISON_UNPLACED;
	return 0;
}

/* What a failed swap-in left behind looks like a swap entry to lseek, mincore and cachestat. */
int portable_resolve_poison(struct portable *s)
{
	page_state_mask swapped = PAGE_STATE_BIT(PAGE_SWAPPED);
	uint64_t entries, unexplained;
	int r;

	if (pages_in(s, swapped) == 0)
		return 0;
	if (s->now.have_swapped && have_entries(s, &entries) && entries == s->now.swapped)
		return 0;
	s->probe.sources |= SOURCE_ACCOUNTING;
	r = count_unexplained(s, &unexplained);
	if (r == -ENOMEM || (r == 0 && unexplained == 0))
		return r;
	if (r == 0)
		return place_poison(s, unexplained);
	s->reasons |= SNAPSHOT_POISON_UNCHECKED;
	extent_list_set_state(&s->extents, swapped, PAGE_UNKNOWN);
	return 0;
}

/*
 * Without cachestat, pages without data are holes or allocated. If the pages with data account for
 * all of the object's blocks, nothing is left to be allocated. (Where something moved it could be
 * that they do by chance: one page came between the looks and the count as another went.)
 */
int portable_resolve_no_data(struct portable *s)
{
	page_state_mask unknown = PAGE_STATE_BIT(PAGE_UNKNOWN);

	if (kcaps_has(s->request->caps, KCAP_CACHESTAT) || pages_in(s, unknown) == 0)
		return 0;
	if (s->whole && s->still && s->moved == 0 && occupied(s) == s->now.blocks) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		extent_list_set_state(&s->extents, unknown, PAGE_HOLE);
		return 0;
	}
	s->reasons |= SNAPSHOT_ALLOCATED_UNPLACED;
	return 0;
}
