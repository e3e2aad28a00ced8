/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "json/encode.h"
#include "serve/answer-inside.h"
#include "util/text.h"
#include "util/util.h"

/* All fields but the name, with numbers of 19 digits. */
#define EXTENT_BYTES 352

static struct json_object *json_of_run(const struct process_view *v, const struct view_run *run)
{
	const struct view_mapping *m = &v->mappings[run->mapping];
	_cleanup_free_ char *name = m->object->name ? text_escape(m->object->name) : NULL;
	uint64_t start = run->page * v->page_size;
	struct json_object *j = json_object_new_object();
	char id[OBJECT_ID_MAX];

	object_id_format(&m->object->id, m->object->has_twin, id);
	json_object_object_add(j, "start", json_number(start));
	json_object_object_add(j, "end", json_number(start + run->count * v->page_size));
	json_object_object_add(j, "pages", json_number(run->count));
	json_object_object_add(j, "state",
			       json_object_new_string(view_state_to_string(run->state)));
	json_object_object_add(j, "sharing",
			       json_object_new_string(m->where.shared ? "shared" : "private"));
	json_object_object_add(j, "offset",
			       json_number(m->where.offset + (start - m->where.start)));
	json_object_object_add(j, "object", json_object_new_string(id));
	json_object_object_add(j, "kind",
			       json_object_new_string(object_kind_to_string(m->object->kind)));
	json_object_object_add(j, "name", name ? json_object_new_string(name) : NULL);
	return j;
}

static void add_reason(struct json_object *reasons, const char *text)
{
	json_object_array_add(reasons, json_object_new_string(text));
}

static void add_reasons_of_objects(struct json_object *reasons, const struct result *r)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < r->view.n_snapshots; i++)
		bits |= r->view.snapshots[i].reasons;
	for (unsigned bit = 1; bit <= bits; bit <<= 1)
		if (bits & bit)
			add_reason(reasons, snapshot_reason_to_string((enum snapshot_reason)bit));
	for (size_t i = 0; i < r->view.n_mappings; i++) {
		int error = r->view.mappings[i].error;

		/* One says enough; kinds that have no states are no gap. */
		if (error < 0 && error != -EOPNOTSUPP) {
			add_reason(reasons, text_error(error));
			break;
		}
	}
}

static void add_reasons(struct json_object *j, const struct result *r)
{
	struct json_object *reasons = json_object_new_array();

	add_reasons_of_objects(reasons, r);
	if (r->denied)
		add_reason(reasons, "some mapping could not be looked at");
	if (r->own_undetermined)
		add_reason(reasons, "of some pages of private mappings the kernel does not tell "
				    "whether they are the process's own");
	if (r->words_fd >= 0 && r->undetermined > 0)
		add_reason(reasons, "some pages not determined: their swap bit is not set");
	json_object_object_add(j, "incomplete",
			       json_object_new_boolean(r->undetermined > 0 ||
						       json_object_array_length(reasons) > 0));
	json_object_object_add(j, "reasons", reasons);
}

/* What was asked for: the address space has no end that could be told. */
static struct json_object *json_of_range(const struct question *q)
{
	struct json_object *j = json_object_new_object();
	bool ends = q->have_range && q->range.count != UINT64_MAX;

	json_object_object_add(j, "first", json_number(q->have_range ? q->range.first : 0));
	json_object_object_add(j, "count", ends ? json_number(q->range.count) : NULL);
	return j;
}

/* The one that all objects were looked at by; NULL: there is no such. */
static struct json_object *json_of_probe(const struct process_view *v)
{
	const char *probe = v->n_snapshots > 0 ? v->snapshots[0].probe : NULL;

	for (size_t i = 1; i < v->n_snapshots; i++)
		if (strcmp(v->snapshots[i].probe, probe) != 0)
			return NULL;
	return probe ? json_object_new_string(probe) : NULL;
}

/* As many as fit: names may be long. */
static struct json_object *make_extents(struct answer *a)
{
	const struct result *r = a->result;
	struct json_object *array = json_object_new_array();
	size_t left = a->message_bytes - ANSWER_HEAD_BYTES / 2;

	for (; a->index < r->n_runs; a->index++) {
		const struct view_run *run = &r->runs[a->index];
		const char *name = r->view.mappings[run->mapping].object->name;
		size_t size = EXTENT_BYTES + (name ? 5 * strlen(name) : 0);

		if (size > left && json_object_array_length(array) > 0)
			break;
		json_object_array_add(array, json_of_run(&r->view, run));
		left -= MIN(left, size);
	}
	return array;
}

struct json_object *answer_pagemap(struct answer *a, struct reply_draft *draft)
{
	const struct result *r = a->result;
	struct json_object *j = json_object_new_object(), *extents = NULL;
	uint64_t next = r->runs_end;

	if (a->question->encoding == ENCODING_EXTENTS) {
		extents = make_extents(a);
		draft->goes_on = a->index < r->n_runs;
	} else {
		draft->fd = fcntl(r->words_fd, F_DUPFD_CLOEXEC, 0);
		draft->error = draft->fd < 0 ? -errno : 0;
	}
	if (draft->goes_on)
		next = r->runs[a->index].page;
	json_object_object_add(j, "pid", json_object_new_int(r->view.pid));
	json_object_object_add(j, "pageSize", json_number(r->view.page_size));
	json_object_object_add(j, "range", json_of_range(a->question));
	json_object_object_add(j, "probe", json_of_probe(&r->view));
	json_object_object_add(j, "stable",
			       json_object_new_boolean(process_view_is_stable(&r->view)));
	json_object_object_add(j, "movedPages", json_number(process_view_moved(&r->view)));
	add_reasons(j, r);
	json_object_object_add(j, "next", next > 0 ? json_number(next) : NULL);
	json_object_object_add(j, "extents", extents);
	json_object_object_add(j, "fileDescriptor", draft->fd >= 0 ? json_object_new_int(0) : NULL);
	return j;
}
