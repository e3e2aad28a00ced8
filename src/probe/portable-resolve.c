/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "probe/portable.h"
#include "probe/smaps.h"
#include "util/util.h"

/*
 * Pages in core may be folios of the object or of the swap cache. If all slots are accounted for
 * (no poison) and as many are out of core as there are swap entries, none is in the swap cache.
 */
int portable_resolve_in_core(struct portable *s)
{
	page_state_mask in_core = PAGE_STATE_BIT(PAGE_IN_CORE);

	if (pages_in(s, in_core) == 0 || !kcaps_has(s->request->caps, KCAP_CACHESTAT))
		return 0;
	if (s->whole && account_is_whole(&s->now) && occupied(s) == s->now.blocks &&
	    pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED)) == s->now.swapped) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		extent_list_set_state(&s->extents, in_core, PAGE_PRESENT);
		return 0;
	}
	return portable_look_again(s, in_core);
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
int portable_resolve_poison(struct portable *s)
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
		    s->now.swapped == 0) {
			extent_list_set_state(&s->extents, swapped, PAGE_POISONED);
			return 0;
		}
	}
	s->probe.sources |= SOURCE_ACCOUNTING;
	r = count_poison(s, &poison);
	if (r < 0 && r != -ENOMEM) {
		s->reasons |= SNAPSHOT_POISON_UNCHECKED;
		extent_list_set_state(&s->extents, swapped, PAGE_UNKNOWN);
		return 0;
	}
	if (r < 0 || poison == 0)
		return r;
	if ((s->whole || s->now.swapped == 0) && poison >= pages_in(s, swapped)) {
		extent_list_set_state(&s->extents, swapped, PAGE_POISONED);
		return 0;
	}
	s->reasons |= SNAPSHOT_POISON_UNPLACED;
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
	uint64_t poison = 0;

	if (kcaps_has(s->request->caps, KCAP_CACHESTAT) || pages_in(s, unknown) == 0)
		return 0;
	if (s->whole && s->moved == 0 && occupied(s) == s->now.blocks &&
	    (occupied(s) == 0 || (count_poison(s, &poison) == 0 && poison == 0))) {
		s->probe.sources |= SOURCE_ACCOUNTING;
		extent_list_set_state(&s->extents, unknown, PAGE_HOLE);
		return 0;
	}
	s->reasons |= SNAPSHOT_ALLOCATED_UNPLACED;
	return 0;
}
