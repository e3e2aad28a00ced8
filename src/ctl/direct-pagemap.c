/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "ctl/direct.h"
#include "ctl/report.h"
#include "util/text.h"
#include "view/words.h"

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
	head = (struct mapped_head){
		.page_size = v->page_size,
		.moved = process_view_moved(v),
		.stable = process_view_is_stable(v),
	};
	sink->head(sink->context, &head);
	for (size_t i = 0; i < v->n_mappings && r >= 0; i++)
		r = view_walk(v, &v->mappings[i], range, send_run, &sender);
	free(sender.name);
	return r < 0 ? failed("--pid=%d: %s", (int)v->pid, text_error(r)) : 0;
}

int direct_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error)
{
	struct direct *d = direct_of(s);
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
	*ret_error =
		view_write_words(&d->view, range, gaps, sink->words, sink->context, ret_unsure);
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
