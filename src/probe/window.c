/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "model/snapshot.h"
#include "probe/cachestat.h"
#include "probe/seek.h"
#include "probe/slots.h"
#include "probe/window.h"
#include "util/util.h"

/* How many windows of both kinds are counted, rather than left to the accounting. */
#define MIXED_WINDOWS 8

/*
 * How many pages have all the facts of one set. (This and the next go over the whole array, whose
 * rest is 0: a loop of fixed length is one that compilers turn into vector instructions.)
 */
static unsigned count_with(const struct window *w, page_facts facts)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		n += (w->facts[i] & facts) == facts;
	return n;
}

static void add_where(struct window *w, page_facts where, page_facts facts)
{
	if (where == FACT_NO_DATA && w->n_data == w->n)
		return;
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		w->facts[i] |= (w->facts[i] & where) == where ? facts : 0;
}

static int count_slots(struct window_probe *p, const struct window *w, struct slot_counts *ret)
{
	p->sources |= SOURCE_CACHESTAT;
	return cachestat_count(p->fd, p->caps->page_size, w->first, w->n, ret);
}

static int add_slot_facts(void *context, uint64_t first, uint64_t count, page_facts facts)
{
	struct window *w = context;

	for (uint64_t i = 0; i < count; i++)
		w->facts[first - w->first + i] |= facts;
	return 0;
}

/* Looks up the slots of every run of pages that have the facts. */
static int find_slots_where(struct window_probe *p, struct window *w, page_facts where)
{
	p->sources |= SOURCE_CACHESTAT;
	for (unsigned i = 0; i < w->n;) {
		unsigned start = i;
		int r;

		while (i < w->n && (w->facts[i] & where) == where)
			i++;
		if (i == start) {
			i++;
			continue;
		}
		r = slots_find(p->fd, p->caps->page_size, w->first + start, i - start,
			       add_slot_facts, w);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_core_facts(struct window_probe *p, struct window *w)
{
	unsigned char vec[WINDOW_PAGES] = {0};
	unsigned in_core = 0;
	int r = mincore_read(&p->map, w->first, w->n, vec);

	if (r < 0)
		return r;
	p->sources |= SOURCE_MINCORE;
	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		page_facts known = w->facts[i] ? 0xff : 0;

		w->facts[i] |= known & (vec[i] & 1 ? FACT_IN_CORE : FACT_NOT_IN_CORE);
		in_core += vec[i] & 1;
	}
	w->n_out = w->n_data == w->n ? w->n - in_core : count_with(w, FACT_DATA | FACT_NOT_IN_CORE);
	return 0;
}

/* The cheapest answer where it fits: every page with data is a folio, every other slot empty. */
static int try_all_folios(struct window_probe *p, struct window *w)
{
	struct slot_counts n;
	int r = count_slots(p, w, &n);

	if (r < 0)
		return r;
	if (n.folios != w->n_data || n.entries != 0)
		return 0;
	add_where(w, FACT_DATA, FACT_FOLIO);
	add_where(w, FACT_NO_DATA, FACT_EMPTY);
	w->all_folios = true;
	return 1;
}

/*
 * One count of the window's slots tells holes from allocated pages, where the pages with data
 * explain all that is counted; and that no page in core is a swap entry, where those out of core
 * explain all swap entries. In a window of both kinds it costs nearly as much as mincore did: after
 * a few such windows the question is left to the accounting of the whole object.
 */
static int explain_by_count(struct window_probe *p, struct window *w)
{
	bool mixed = w->n_out > 0 && w->n_out < w->n_data, none = w->n_data < w->n;
	struct slot_counts n;
	int r;

	if (!kcaps_has(p->caps, KCAP_CACHESTAT))
		return 0;
	if (!none && (w->n_out == w->n_data || (mixed && p->n_mixed++ >= MIXED_WINDOWS)))
		return 0;
	r = count_slots(p, w, &n);
	if (r < 0)
		return r;
	if (n.folios + n.entries != w->n_data)
		return none ? find_slots_where(p, w, FACT_NO_DATA) : 0;
	add_where(w, FACT_NO_DATA, FACT_EMPTY);
	if (n.entries == w->n_out) {
		add_where(w, FACT_DATA | FACT_IN_CORE, FACT_FOLIO);
		w->all_folios = w->n_out == 0;
	}
	return 0;
}

/*
 * Where pages move a sum over the window proves nothing: a page that left and one that came cancel
 * out. What holds still is told right all the same, if each run of like pages gives a uniform
 * answer. A page that moved in between ends with facts that contradict each other, and so as
 * unknown.
 */
static int probe_by_runs(struct window_probe *p, struct window *w)
{
	int r = add_core_facts(p, w);

	if (r < 0 || !kcaps_has(p->caps, KCAP_CACHESTAT))
		return r;
	if (w->n_data < w->n) {
		r = find_slots_where(p, w, FACT_NO_DATA);
		if (r < 0)
			return r;
	}
	/* Of a whole look the rest is asked afterwards, over longer runs. */
	if (p->mode & WINDOW_UNQUIET)
		return 0;
	r = find_slots_where(p, w, FACT_DATA | FACT_IN_CORE);
	return r < 0 ? r : find_slots_where(p, w, FACT_DATA | FACT_NOT_IN_CORE);
}

static int probe_fast(struct window_probe *p, struct window *w)
{
	int r;

	if (p->expect_folios && kcaps_has(p->caps, KCAP_CACHESTAT)) {
		r = try_all_folios(p, w);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = add_core_facts(p, w);
	if (r < 0)
		return r;
	return p->mode & WINDOW_ASSUME_DATA ? 0 : explain_by_count(p, w);
}

int window_probe(struct window_probe *p, struct window *w)
{
	bool by_runs = p->mode & (WINDOW_THOROUGH | WINDOW_UNQUIET);
	int r = by_runs ? probe_by_runs(p, w) : probe_fast(p, w);

	if (r < 0)
		return r;
	/* Folios tend to come in long runs, and where one has been, one call tells of the next. */
	p->expect_folios = w->all_folios;
	return 0;
}
