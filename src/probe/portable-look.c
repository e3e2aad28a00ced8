/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/look.h"
#include "probe/portable.h"
#include "probe/seek.h"
#include "probe/smaps.h"
#include "util/util.h"

/* So few extents, or so few for all the pages, are looked at one by one: it takes two calls each.
 */
#define FEW_EXTENTS 256
#define PAGES_PER_EXTENT 16

/* What is guessed or remembered from window to window starts anew with each look. */
static void begin_look(struct portable *s, uint32_t mode)
{
	struct window_probe *p = &s->probe;

	p->mode = mode;
	p->run = (struct seek_run){0};
	p->expect_folios = s->now.have_swapped && s->now.swapped == 0;
	p->n_mixed = 0;
}

int portable_look_in_mode(struct portable *s, uint32_t mode)
{
	begin_look(s, mode);
	extent_list_clear(&s->extents);
	return look(&s->probe, s->first, s->end, &s->extents);
}

/* Are all pages in core folios of the object? If so, says it of them. It takes a call a run. */
static bool prove_in_core_present(struct portable *s)
{
	size_t runs = 0;

	for (size_t i = 0; i < s->extents.n_items; i++) {
		const struct extent *e = &s->extents.items[i];
		uint64_t entries;

		if (e->state != PAGE_IN_CORE)
			continue;
		if (++runs > FEW_EXTENTS ||
		    smaps_count_part(s->request->fd, s->request->caps->page_size, s->now.pages,
				     e->first, e->count, &entries) < 0 ||
		    entries > 0)
			return false;
	}
	extent_list_set_state(&s->extents, PAGE_STATE_BIT(PAGE_IN_CORE), PAGE_PRESENT);
	return true;
}

/*
 * Every slot was taken to be full, and mincore alone was asked: out of core was taken for swapped.
 * But what is out of core is
 *   never written + poison + swap entries - those of them in the swap cache.
 * As many out of core as there are swap entries, and none of these in core: then they are the swap
 * entries, all of them. If that cannot be shown it has to be asked whether every page has data, so
 * that none is a folio never written; the rest is resolved later. 1 if proved.
 */
static int prove_full(struct portable *s)
{
	uint64_t out = pages_in(s, PAGE_STATE_BIT(PAGE_SWAPPED));

	if (s->now.blocks != s->now.pages)
		return 0;
	if (out == 0 || (out == s->now.swapped && prove_in_core_present(s)))
		return 1;
	s->probe.sources |= SOURCE_SEEK;
	return seek_all_data(s->request->fd, s->request->caps->page_size, s->first, s->end);
}

/* Takes for granted that no slot is empty, which saves most calls. 1 if it could be proved. */
static int look_at_full(struct portable *s)
{
	int r;

	s->probe.sources |= SOURCE_ACCOUNTING;
	r = portable_look_in_mode(s, WINDOW_ASSUME_DATA);
	if (r < 0)
		return r;
	r = account_read(s->request->fd, s->request->caps, &s->now);
	if (r < 0)
		return r;
	return account_is_whole(&s->now) ? prove_full(s) : 0;
}

int portable_unquiet_look(struct portable *s)
{
	int r = portable_look_in_mode(s, WINDOW_UNQUIET);

	if (r < 0)
		return r;
	r = portable_verify_swapped(s);
	return r < 0 ? r : portable_resolve_in_core(s, false);
}

int portable_first_look(struct portable *s)
{
	int r;

	/* What the accounting cannot settle is better asked for at once. */
	if (!s->whole || !account_is_whole(&s->now))
		return portable_unquiet_look(s);
	if (s->now.swapped > 0 && s->now.blocks == s->now.pages) {
		r = look_at_full(s);
		if (r == 0)
			return portable_unquiet_look(s);
	} else {
		r = portable_look_in_mode(s, 0);
	}
	return r < 0 ? r : portable_resolve_in_core(s, true);
}

int portable_replace_extents(struct portable *s, page_state_mask mask, portable_replace f)
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

static int replace_by_look(struct portable *s, const struct extent *e, struct extent_list *to)
{
	return look(&s->probe, e->first, e->first + e->count, to);
}

int portable_look_again(struct portable *s, page_state_mask mask)
{
	begin_look(s, WINDOW_THOROUGH);
	return portable_replace_extents(s, mask, replace_by_look);
}
