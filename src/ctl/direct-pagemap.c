/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl/direct.h"
#include "ctl/report.h"
#include "probe/pagemap.h"
#include "util/text.h"

#define CHUNK_PAGES 4096

/* Looks at the process. Returns 0, or an exit code after a message. */
static int open_view(struct direct *d, struct page_range range)
{
	const struct options *o = d->base.options;
	struct query *q = &d->query;
	int pid = (int)o->selector.pid, r = query_open(q, o, false);

	if (r != 0)
		return r;
	if (q->discovery.n_denied_processes > 0)
		return failed("--pid=%d: permission denied", pid);
	r = process_view_build(&q->prober, &q->discovery, pid, q->objects, (size_t)q->n_objects,
			       range, &d->view);
	return r < 0 ? failed("--pid=%d: %s", pid, text_error(r)) : 0;
}

static uint64_t count_moved(const struct process_view *v)
{
	uint64_t moved = 0;

	for (size_t i = 0; i < v->n_snapshots; i++)
		moved += v->snapshots[i].moved;
	return moved;
}

/* The runs under way to the sink, and the texts of a mapping that all its runs share. */
struct sender {
	const struct process_view *view;
	const struct mapped_sink *sink;
	const struct view_mapping *mapping;
	char id[OBJECT_ID_MAX];
	char *name; /* escaped, owned */
};

static int send_run(void *context, const struct view_mapping *m, uint64_t page, uint64_t count,
		    int state)
{
	struct sender *s = context;
	struct mapped run = {
		.start = page * s->view->page_size,
		.end = (page + count) * s->view->page_size,
		.pages = count,
		.state = state,
		.object = s->id,
		.kind = m->object->kind,
		.shared = m->where.shared,
	};

	if (s->mapping != m) {
		free(s->name);
		s->name = m->object->name ? text_escape(m->object->name) : NULL;
		object_id_text(m->object, s->id);
		s->mapping = m;
	}
	run.name = s->name;
	run.offset = m->where.offset + (run.start - m->where.start);
	s->sink->run(s->sink->context, &run);
	return 0;
}

int direct_pagemap(struct source *s, struct page_range range, const struct mapped_sink *sink)
{
	struct direct *d = direct_of(s);
	const struct process_view *v = &d->view;
	struct sender sender = {.view = v, .sink = sink};
	struct mapped_head head;
	int r = open_view(d, range);

	if (r != 0)
		return r;
	head = (struct mapped_head){.page_size = v->page_size, .moved = count_moved(v)};
	head.stable = head.moved == 0;
	sink->head(sink->context, &head);
	for (size_t i = 0; i < v->n_mappings && r >= 0; i++)
		r = view_walk(v, &v->mappings[i], range, send_run, &sender);
	free(sender.name);
	return r < 0 ? failed("--pid=%d: %s", (int)v->pid, text_error(r)) : 0;
}

/* Words under way. */
struct worder {
	const struct process_view *view;
	const struct word_sink *sink;
	uint64_t unsure;
};

/* Behind the end of the address space there is nothing to read; of a process that has gone neither.
 */
static bool is_alive(const struct process_view *v)
{
	uint64_t word;

	return pagemap_read(v->pagemap_fd, 0, 1, &word) == 0;
}

/* Pages of one mapping, or (m == NULL) of none of ours: the kernel's words as they are. */
static int send_part(struct worder *w, const struct view_mapping *m, uint64_t first, uint64_t end)
{
	int r = 0;

	while (first < end && r >= 0) {
		uint64_t words[CHUNK_PAGES];
		size_t n = MIN(end - first, CHUNK_PAGES);

		if (m)
			r = view_read_words(w->view, m, first, n, words, &w->unsure);
		else
			r = pagemap_read(w->view->pagemap_fd, first, n, words);
		if (!m && r == -ESRCH && is_alive(w->view)) {
			memset(words, 0, sizeof(words));
			r = 0;
		}
		if (r >= 0)
			r = w->sink->words(w->sink->context, first, n, words);
		first += n;
	}
	return r;
}

static int send_words(struct worder *w, struct page_range range, bool gaps)
{
	const struct process_view *v = w->view;
	uint64_t at = range.first;
	int r = 0;

	for (size_t i = 0; i < v->n_mappings && r >= 0; i++) {
		struct page_range part = view_mapping_crop(v, &v->mappings[i], range);

		if (gaps)
			r = send_part(w, NULL, at, part.first);
		if (r >= 0)
			r = send_part(w, &v->mappings[i], part.first, part.first + part.count);
		at = part.first + part.count;
	}
	if (gaps && r >= 0)
		r = send_part(w, NULL, at, range.first + range.count);
	return r;
}

int direct_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error)
{
	struct direct *d = direct_of(s);
	struct worder w = {.view = &d->view, .sink = sink};
	int r = open_view(d, range);

	if (r != 0)
		return r;
	/* Only these words have room for it. */
	r = process_view_locate(&d->view, &d->query.prober, &d->query.discovery);
	if (r < 0)
		return failed("--pid=%d: %s", (int)d->view.pid, text_error(r));
	r = sink->begin(sink->context);
	if (r != 0)
		return r;
	*ret_error = send_words(&w, range, gaps);
	*ret_unsure = w.unsure;
	return 0;
}

/* Why some mapping, or some page of one, has no state. */
int direct_report_pagemap(struct source *s)
{
	const struct process_view *v = &direct_of(s)->view;
	int code = 0;

	for (size_t i = 0; i < v->n_mappings; i++) {
		const struct view_mapping *m = &v->mappings[i];
		char id[OBJECT_ID_MAX];

		if (m->error < 0 && m->error != -EOPNOTSUPP)
			code = incomplete("%" PRIx64 "-%" PRIx64 ": object %s: %s", m->where.start,
					  m->where.end, object_id_text(m->object, id),
					  text_error(m->error));
	}
	for (size_t i = 0; i < v->n_snapshots; i++) {
		int r = report_snapshot(&v->snapshots[i], s->options->states);

		code = r ? r : code;
	}
	return code;
}
