/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "ctl/direct.h"
#include "ctl/progress.h"
#include "ctl/query.h"
#include "ctl/report.h"
#include "util/text.h"

/* Whoever asks again asks about the objects that were found first. */
static int open_query(struct direct *d, bool all_processes)
{
	int r = d->found ? 0 : query_open(&d->query, d->base.options, all_processes);

	d->found = r == 0;
	return r;
}

/*
 * Objects that go away meanwhile are left out; those that cannot be opened stay, without states.
 * The maps are not needed, and would add up.
 */
static int list_object(struct query *q, const struct object *object, bool stability,
		       struct listing *ret)
{
	struct snapshot snapshot;
	struct listed *item;
	int error =
		stability ? inspect_object(&q->prober, &q->discovery, object, PROBE_ALL, &snapshot)
			  : inspect_object_once(&q->prober, &q->discovery, object, &snapshot);

	if (error == -ENOENT)
		return 0;
	item = listing_add(ret, object);
	if (!item)
		return -ENOMEM;
	item->processes = object_count_processes(object);
	item->holders = object->n_holders;
	item->mappers = object->n_mappers;
	/* Kinds that have no states are no gap in the answer; what was barred or moved away is. */
	item->barred = error < 0 && error != -EOPNOTSUPP;
	if (error == 0) {
		item->snapshot = snapshot;
		state_map_done(&item->snapshot.map);
		return 0;
	}
	item->reason = strdup(text_error(error));
	return item->reason ? 0 : -ENOMEM;
}

static int direct_list(struct source *s, bool stability, struct listing *ret)
{
	struct query *q = &direct_of(s)->query;
	const struct options *o = s->options;
	/* Whatever is selected: its other holders count too. */
	int r = query_open(q, o, true);

	direct_of(s)->listed = true;
	for (int i = 0; r == 0 && i < q->n_objects; i++) {
		if (o->kinds && !(o->kinds & UINT32_C(1) << q->objects[i]->kind))
			continue;
		progress_tell((uint64_t)i, (uint64_t)q->n_objects);
		if (list_object(q, q->objects[i], stability, ret) < 0)
			r = out_of_memory();
	}
	return r;
}

static bool is_readable(const struct query *q, pid_t pid)
{
	_cleanup_(discovery_done) struct discovery d = {.proc_fd = -1};

	if (discover(&q->caps, "/proc", pid, &d) < 0)
		return false;
	return d.n_denied_processes == 0 && d.n_denied_mappings == 0;
}

static int direct_report_gaps(struct source *s)
{
	const struct query *q = &direct_of(s)->query;
	int r = query_report_denied(q);

	/* If that process could be read its objects are all there, if perhaps not all their
	 * holders. */
	if (r != 0 && direct_of(s)->listed && s->options->selector.pid > 0 &&
	    is_readable(q, s->options->selector.pid))
		return 0;
	return r;
}

static int direct_classify(struct source *s, struct page_range range,
			   const struct object **ret_object, struct snapshot *ret)
{
	struct query *q = &direct_of(s)->query;
	const struct object *object;
	char id[OBJECT_ID_MAX];
	int r = open_query(direct_of(s), false);

	if (r != 0)
		return r;
	object = query_one(q, s->options->verb);
	if (!object)
		return EXIT_FAILED;
	r = inspect_object_settled(&q->prober, &q->discovery, object, range, s->options->settle,
				   ret);
	if (r < 0)
		return failed("%s: %s", object_id_text(object, id), text_error(r));
	*ret_object = object;
	return query_check_range(s->options, &range, size_to_pages(ret->size, ret->page_size));
}

static int direct_show(struct source *s, const struct object **ret_object, struct snapshot *ret,
		       char **ret_reason)
{
	struct query *q = &direct_of(s)->query;
	const struct object *object;
	char id[OBJECT_ID_MAX];
	int r = open_query(direct_of(s), true);

	if (r != 0)
		return r;
	object = query_one(q, s->options->verb);
	if (!object)
		return EXIT_FAILED;
	/* Memory that cannot be swapped has no states, and is shown without. */
	r = inspect_object(&q->prober, &q->discovery, object, PROBE_ALL, ret);
	if (r < 0 && r != -EOPNOTSUPP)
		return failed("%s: %s", object_id_text(object, id), text_error(r));
	if (r < 0) {
		*ret_reason = strdup(text_error(r));
		if (!*ret_reason)
			return out_of_memory();
	}
	*ret_object = object;
	return 0;
}

static int direct_locate(struct source *s, struct page_range range,
			 const struct object **ret_object, struct slot_map *ret)
{
	struct query *q = &direct_of(s)->query;
	const struct object *object;
	char id[OBJECT_ID_MAX];
	int r = query_open(q, s->options, false);

	if (r != 0)
		return r;
	if (!q->prober.walker)
		return failed("locate needs the walk: %s",
			      text_walker_error(q->prober.walker_error));
	object = query_one(q, s->options->verb);
	if (!object)
		return EXIT_FAILED;
	r = inspect_locate(&q->prober, &q->discovery, object, range, ret);
	if (r < 0)
		return failed("%s: %s", object_id_text(object, id), text_error(r));
	*ret_object = object;
	return query_check_range(s->options, &range, size_to_pages(ret->size, ret->page_size));
}

static void direct_done(struct source *s)
{
	struct direct *d = direct_of(s);

	process_view_done(&d->view);
	query_done(&d->query);
	free(d);
}

static const struct source_ops direct_ops = {
	.list = direct_list,
	.classify = direct_classify,
	.show = direct_show,
	.locate = direct_locate,
	.pagemap = direct_pagemap,
	.words = direct_words,
	.report_pagemap = direct_report_pagemap,
	.report_gaps = direct_report_gaps,
	.capabilities = direct_capabilities,
	.done = direct_done,
};

int direct_open(const struct options *o, struct source **ret)
{
	struct direct *d = calloc(1, sizeof(*d));

	if (!d)
		return out_of_memory();
	*d = (struct direct){.base = {.ops = &direct_ops, .options = o},
			     .query = QUERY_NONE,
			     .view = {.pagemap_fd = -1}};
	*ret = &d->base;
	return 0;
}
