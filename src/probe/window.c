/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "model/snapshot.h"
#include "probe/cachestat.h"
#include "probe/seek.h"
#include "probe/slots.h"
#include "probe/window.h"
#include "util/util.h"

/* How many pages have all the facts of one set. */
static unsigned count_with(const struct window *w, page_facts facts)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n; i++)
		n += (w->facts[i] & facts) == facts;
	return n;
}

static void add_where(struct window *w, page_facts where, page_facts facts)
{
	for (unsigned i = 0; i < w->n; i++)
		if ((w->facts[i] & where) == where)
			w->facts[i] |= facts;
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
	unsigned char vec[WINDOW_PAGES];
	int r = mincore_read(&p->map, w->first, w->n, vec);

	if (r < 0)
		return r;
	p->sources |= SOURCE_MINCORE;
	for (unsigned i = 0; i < w->n; i++)
		w->facts[i] |= vec[i] & 1 ? FACT_IN_CORE : FACT_NOT_IN_CORE;
	return 0;
}

/*
 * A folio may never have been written: does the window have data? SEEK_HOLE goes on to the next
 * hole, however far, and so is asked once for all the windows before it.
 */
static int prove_data(struct window_probe *p, const struct window *w)
{
	struct seek_run run;
	int r;

	if (w->first + w->n <= p->proved_end)
		return 0;
	p->sources |= SOURCE_SEEK;
	r = seek_next(p->fd, p->caps->page_size, w->first, UINT64_MAX, &run);
	if (r < 0)
		return r;
	if (run.data)
		p->proved_end = run.end;
	p->disproved |= !run.data || run.end < w->first + w->n;
	return 0;
}

/* The cheapest answer where it fits: every page with data is a folio, every other slot empty. */
static int try_all_folios(struct window_probe *p, struct window *w)
{
	unsigned data = count_with(w, FACT_DATA);
	struct slot_counts n;
	int r = count_slots(p, w, &n);

	if (r < 0)
		return r;
	if (n.folios != data || n.entries != 0)
		return 0;
	if (p->mode & WINDOW_ASSUME_DATA) {
		r = prove_data(p, w);
		if (r < 0)
			return r;
	}
	add_where(w, FACT_DATA, FACT_FOLIO);
	add_where(w, FACT_NO_DATA, FACT_EMPTY);
	return 1;
}

/* Pages without data: holes, unless the window holds more than the pages with data explain. */
static int probe_no_data(struct window_probe *p, struct window *w)
{
	struct slot_counts n;
	int r;

	if (count_with(w, FACT_NO_DATA) == 0 || !kcaps_has(p->caps, KCAP_CACHESTAT))
		return 0;
	r = count_slots(p, w, &n);
	if (r < 0)
		return r;
	if (n.folios + n.entries != count_with(w, FACT_DATA)) {
		r = find_slots_where(p, w, FACT_NO_DATA);
		return r < 0 ? r : 0;
	}
	add_where(w, FACT_NO_DATA, FACT_EMPTY);
	/* The same counts tell whether any page in core is a swap entry. */
	if (n.entries == count_with(w, FACT_DATA | FACT_NOT_IN_CORE))
		add_where(w, FACT_DATA | FACT_IN_CORE, FACT_FOLIO);
	return 0;
}

/*
 * Every page, asked every way. A page that moved in between ends with facts that contradict each
 * other, and so as unknown.
 */
static int probe_thoroughly(struct window_probe *p, struct window *w)
{
	unsigned data = count_with(w, FACT_DATA), out, in_core_entries;
	struct slot_counts n;
	int r;

	r = add_core_facts(p, w);
	if (r < 0 || !kcaps_has(p->caps, KCAP_CACHESTAT))
		return r;
	r = count_slots(p, w, &n);
	if (r < 0)
		return r;
	out = count_with(w, FACT_DATA | FACT_NOT_IN_CORE);
	if (n.entries == out && n.folios == data - out) {
		add_where(w, FACT_NO_DATA, FACT_EMPTY);
		add_where(w, FACT_DATA | FACT_NOT_IN_CORE, FACT_ENTRY);
		add_where(w, FACT_DATA | FACT_IN_CORE, FACT_FOLIO);
		return 0;
	}
	r = find_slots_where(p, w, FACT_DATA | FACT_IN_CORE);
	if (r < 0)
		return r;
	r = find_slots_where(p, w, FACT_NO_DATA);
	if (r < 0)
		return r;
	in_core_entries = count_with(w, FACT_IN_CORE | FACT_ENTRY);
	if (n.entries == out + in_core_entries) {
		add_where(w, FACT_DATA | FACT_NOT_IN_CORE, FACT_ENTRY);
		return 0;
	}
	return find_slots_where(p, w, FACT_DATA | FACT_NOT_IN_CORE);
}

static int probe_fast(struct window_probe *p, struct window *w)
{
	int r;

	if (p->mode & WINDOW_NEVER_SWAPPED) {
		add_where(w, FACT_DATA, FACT_FOLIO);
		return probe_no_data(p, w);
	}
	if (p->expect_folios && kcaps_has(p->caps, KCAP_CACHESTAT)) {
		r = try_all_folios(p, w);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = add_core_facts(p, w);
	if (r < 0)
		return r;
	return probe_no_data(p, w);
}

int window_probe(struct window_probe *p, struct window *w)
{
	int r = p->mode & WINDOW_THOROUGH ? probe_thoroughly(p, w) : probe_fast(p, w);

	if (r < 0)
		return r;
	p->expect_folios = w->facts[w->n - 1] & (FACT_FOLIO | FACT_IN_CORE);
	return 0;
}
