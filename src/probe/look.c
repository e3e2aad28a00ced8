/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "model/snapshot.h"
#include "probe/look.h"
#include "probe/seek.h"
#include "probe/slots.h"
#include "util/stop.h"
#include "util/util.h"

/* A pass under way. */
struct pass {
	struct window_probe *probe;
	uint64_t end;
	struct extent_list *extents;
};

/*
 * Makes probe->run the run that holds page at. The kernel goes on to the run's very end, however
 * far: so it is asked once a run, not once a window.
 */
static int pass_seek(struct pass *s, uint64_t at)
{
	struct window_probe *p = s->probe;

	if (at >= p->run.first && at < p->run.end)
		return 0;
	if (p->mode & WINDOW_ASSUME_DATA) {
		p->run = (struct seek_run){.first = at, .end = s->end, .data = true};
		return 0;
	}
	p->sources |= SOURCE_SEEK;
	return seek_next(p->fd, p->caps->page_size, at, UINT64_MAX, &p->run);
}

/*
 * "Allocated" rests on two answers, no data and then a folio; a page written between the two would
 * give both. So the first is asked once more.
 */
static int append_allocated(struct pass *s, uint64_t first, uint64_t end)
{
	struct window_probe *p = s->probe;
	page_facts facts = FACT_NO_DATA | FACT_FOLIO;

	while (first < end) {
		struct seek_run again;
		int r = seek_next(p->fd, p->caps->page_size, first, end, &again);

		if (r < 0)
			return r;
		r = extent_list_append(s->extents, first, again.end - first,
				       classify(again.data ? facts | FACT_DATA : facts));
		if (r < 0)
			return r;
		first = again.end;
	}
	return 0;
}

static int append_no_data(void *context, uint64_t first, uint64_t count, page_facts facts)
{
	struct pass *s = context;

	if (facts == FACT_FOLIO)
		return append_allocated(s, first, first + count);
	return extent_list_append(s->extents, first, count, classify(FACT_NO_DATA | facts));
}

/* A run without data that fills the rest of a window or more: no need to go page by page. */
static int pass_no_data(struct pass *s, uint64_t first, uint64_t end)
{
	struct window_probe *p = s->probe;

	if (!kcaps_has(p->caps, KCAP_CACHESTAT))
		return append_no_data(s, first, end - first, 0);
	p->sources |= SOURCE_CACHESTAT;
	return slots_find(p->fd, p->caps->page_size, first, end - first, append_no_data, s);
}

/*
 * Fills a window from page first up to the next border, but not with a run without data that
 * reaches beyond it: that one is left to pass_no_data().
 */
static int window_fill(struct pass *s, uint64_t first, struct window *w)
{
	uint64_t border = MIN(s->end, (first / WINDOW_PAGES + 1) * WINDOW_PAGES), at = first;

	w->first = first;
	w->n = w->n_data = w->n_out = 0;
	w->all_folios = false;
	memset(w->facts, 0, sizeof(w->facts));
	while (at < border) {
		uint64_t end;
		int r = pass_seek(s, at);

		if (r < 0)
			return r;
		end = MIN(s->probe->run.end, border);
		if (!s->probe->run.data && end == border)
			break;
		memset(w->facts + w->n, s->probe->run.data ? FACT_DATA : FACT_NO_DATA, end - at);
		w->n += (unsigned)(end - at);
		w->n_data += s->probe->run.data ? (unsigned)(end - at) : 0;
		at = end;
	}
	return 0;
}

static int window_append(struct pass *s, const struct window *w)
{
	/* Mostly all pages are alike, and memcmp() sees that faster than a loop. */
	bool uniform = memcmp(w->facts, w->facts + 1, w->n - 1) == 0;
	unsigned start = 0;

	while (start < w->n) {
		unsigned i = uniform ? w->n : start + 1;
		int r;

		while (i < w->n && w->facts[i] == w->facts[start])
			i++;
		if ((w->facts[start] & ~FACT_NOT_IN_CORE) == (FACT_NO_DATA | FACT_FOLIO))
			r = append_allocated(s, w->first + start, w->first + i);
		else
			r = extent_list_append(s->extents, w->first + start, i - start,
					       classify(w->facts[start]));
		if (r < 0)
			return r;
		start = i;
	}
	return 0;
}

static int pass_window(struct pass *s, uint64_t first, uint64_t *ret_end)
{
	struct window w;
	int r = window_fill(s, first, &w);

	if (r < 0)
		return r;
	if (w.n > 0) {
		r = window_probe(s->probe, &w);
		if (r < 0)
			return r;
		r = window_append(s, &w);
		if (r < 0)
			return r;
	}
	*ret_end = first + w.n;
	return 0;
}

int look(struct window_probe *p, uint64_t first, uint64_t end, struct extent_list *extents)
{
	struct pass s = {.probe = p, .end = end, .extents = extents};
	uint64_t at = first;
	int r = 0;

	while (at < end && r >= 0) {
		uint64_t next;

		r = stop_asked();
		if (r >= 0)
			r = pass_window(&s, at, &next);
		if (r < 0)
			return r;
		/* An empty window: the run at its start has no data and crosses its border. */
		if (next == at) {
			next = MIN(p->run.end, end);
			r = pass_no_data(&s, at, next);
		}
		at = next;
	}
	return r;
}
