/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl/remote.h"
#include "json/encode.h"
#include "json/get.h"
#include "util/array.h"
#include "view/process_view.h"

#define CHUNK_PAGES 4096
#define CALL_PAGES (UINT64_C(1) << 24) /* words of so many pages are asked for at a time: 128M */

/* Pages of the address space, behind each other. */
struct ranges {
	struct page_range *items;
	size_t n_items, n_allocated;
};

/* GetPagemap's replies under way. */
struct mapper {
	struct remote *remote;
	const struct mapped_sink *sink; /* NULL: only the ranges are wanted */
	struct ranges *ranges;
	uint64_t page_size;
	bool is_selected; /* not all objects of the process are meant, but those from here on: */
	size_t first;     /* in remote->objects */
	bool began;
	uint64_t next; /* page that the last reply says to go on with; 0: none */
};

static bool is_meant(const struct mapper *m, const char *id)
{
	const struct remote *r = m->remote;
	struct object_id parsed;

	if (!m->is_selected)
		return true;
	if (object_id_parse(id, &parsed) < 0)
		return false;
	for (size_t i = m->first; i < r->n_objects; i++)
		if (object_id_match(&parsed, &r->objects[i]->id))
			return true;
	return false;
}

static int view_state_from_string(const char *text)
{
	for (int i = 0; i < VIEW_STATE_MAX; i++)
		if (strcmp(view_state_to_string(i), text) == 0)
			return i;
	return -EBADMSG;
}

static int parse_run(struct json_object *j, struct mapped *ret)
{
	const char *state, *sharing, *kind;
	int number;

	if (!json_get_number(j, "start", &ret->start) || !json_get_number(j, "end", &ret->end) ||
	    ret->end < ret->start || !json_get_number(j, "pages", &ret->pages) ||
	    !json_get_number(j, "offset", &ret->offset) ||
	    !json_get_text(j, "object", &ret->object) || !json_get_text(j, "state", &state) ||
	    !json_get_text(j, "sharing", &sharing) || !json_get_text(j, "kind", &kind))
		return -EBADMSG;
	ret->name = NULL;
	json_get_text(j, "name", &ret->name);
	ret->shared = strcmp(sharing, "shared") == 0;
	ret->state = view_state_from_string(state);
	number = object_kind_from_string(kind);
	ret->kind = (enum object_kind)number;
	return ret->state < 0 || number < 0 ? -EBADMSG : 0;
}

/* Joins those that follow each other. */
static int add_range(struct ranges *r, uint64_t first, uint64_t count)
{
	struct page_range *last = r->n_items > 0 ? &r->items[r->n_items - 1] : NULL;

	if (last && first == last->first + last->count) {
		last->count += count;
		return 0;
	}
	if (ARRAY_RESERVE(&r->items, &r->n_allocated, r->n_items) < 0)
		return -ENOMEM;
	r->items[r->n_items++] = (struct page_range){.first = first, .count = count};
	return 0;
}

static int take_head(struct mapper *m, struct json_object *reply)
{
	struct remote *r = m->remote;
	struct json_object *reasons;
	struct mapped_head head;
	bool incomplete;

	if (!json_get_number(reply, "pageSize", &head.page_size) || head.page_size == 0 ||
	    !json_get_number(reply, "movedPages", &head.moved) ||
	    !json_get_bool(reply, "stable", &head.stable) ||
	    !json_get_bool(reply, "incomplete", &incomplete))
		return -EBADMSG;
	if (!m->began && m->sink)
		m->sink->head(m->sink->context, &head);
	/* It may take several looks. */
	r->moved = MAX(head.moved, m->began ? r->moved : 0);
	r->stable = head.stable && (r->stable || !m->began);
	m->began = true;
	m->page_size = head.page_size;
	m->next = 0;
	json_get_number(reply, "next", &m->next);
	r->incomplete = r->incomplete || incomplete;
	if (json_get(reply, "reasons", json_type_array, &reasons))
		return texts_add(&r->doubts, reasons);
	return 0;
}

static int handle_runs(void *context, struct json_object *reply)
{
	struct mapper *m = context;
	struct json_object *array;
	int r = take_head(m, reply);

	if (r >= 0 && !json_get(reply, "extents", json_type_array, &array))
		return -EBADMSG;
	for (size_t i = 0; r >= 0 && i < json_object_array_length(array); i++) {
		struct mapped run;

		r = parse_run(json_object_array_get_idx(array, i), &run);
		if (r < 0 || !is_meant(m, run.object))
			continue;
		if (m->sink)
			m->sink->run(m->sink->context, &run);
		else
			r = add_range(m->ranges, run.start / m->page_size, run.pages);
	}
	return r;
}

static struct json_object *json_of_request(struct remote *r, struct page_range range)
{
	struct json_object *j = json_object_new_object(), *of = json_object_new_object();

	json_object_object_add(j, "pid", json_number((uint64_t)r->base.options->selector.pid));
	remote_add_probe(r, j);
	json_object_object_add(of, "first", json_number(range.first));
	if (range.count != UINT64_MAX)
		json_object_object_add(of, "count", json_number(range.count));
	json_object_object_add(j, "range", of);
	return j;
}

/* GetPagemap tells of all that the process maps. */
static int find_selected(struct mapper *m)
{
	const struct selector *s = &m->remote->base.options->selector;

	m->is_selected = s->have_id || s->have_fd || s->have_address || s->path || s->name;
	return m->is_selected ? remote_find(m->remote, &m->first) : 0;
}

/* One look of the service's tells of so many extents only: then it says where to go on. */
static int map_runs(struct mapper *m, struct page_range range)
{
	int r = find_selected(m);

	while (r >= 0) {
		r = remote_ask_more(m->remote, "GetPagemap", json_of_request(m->remote, range),
				    false, handle_runs, m);
		/* It goes on behind where it began, and not behind the end. */
		if (r < 0 || m->next <= range.first || m->next - range.first >= range.count)
			break;
		if (range.count != UINT64_MAX)
			range.count -= m->next - range.first;
		range.first = m->next;
	}
	return r;
}

int remote_pagemap(struct source *s, struct page_range range, const struct mapped_sink *sink)
{
	struct mapper m = {.remote = remote_of(s), .sink = sink};
	int r = map_runs(&m, range);

	return r < 0 ? remote_failed(m.remote, r) : 0;
}

/* From a descriptor of the service's, which is laid out like /proc/PID/pagemap, to the sink. */
static int send_words(int fd, struct page_range range, const struct word_sink *sink)
{
	uint64_t words[CHUNK_PAGES];

	for (uint64_t done = 0; done < range.count;) {
		size_t want = MIN(range.count - done, CHUNK_PAGES);
		ssize_t n = pread(fd, words, want * sizeof(*words),
				  (off_t)((range.first + done) * sizeof(*words)));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Shorter than it was said to be. */
		if ((size_t)n < sizeof(*words))
			return -EBADMSG;
		n /= sizeof(*words);
		r = sink->words(sink->context, range.first + done, (size_t)n, words);
		if (r < 0)
			return r;
		done += (uint64_t)n;
	}
	return 0;
}

static struct json_object *json_of_word_request(struct remote *r, struct page_range range)
{
	struct json_object *j = json_of_request(r, range);

	json_object_object_add(j, "encoding", json_object_new_string("file_descriptor"));
	return j;
}

/* Asks for the words of some pages, and sends them on. *ret_error: what the sink failed with. */
static int ask_words(struct mapper *m, struct page_range range, const struct word_sink *sink,
		     int *ret_error)
{
	struct remote *r = m->remote;
	struct json_object *reply;
	uint64_t index = UINT32_MAX;
	int fd, error;

	error = remote_ask(r, "GetPagemap", json_of_word_request(r, range), false, &reply);
	if (error < 0)
		return error;
	error = take_head(m, reply);
	json_get_number(reply, "fileDescriptor", &index);
	json_object_put(reply);
	if (error < 0)
		return error;
	fd = index < UINT32_MAX ? shmstate_take_fd(r->service, (unsigned)index) : -ENOENT;
	if (fd < 0)
		return -EBADMSG;
	error = send_words(fd, range, sink);
	close(fd);
	if (error == -EBADMSG)
		return error;
	*ret_error = error;
	return 0;
}

static int ask_all_words(struct mapper *m, const struct word_sink *sink, int *ret_error)
{
	int r = 0;

	for (size_t i = 0; i < m->ranges->n_items; i++) {
		struct page_range left = m->ranges->items[i];

		while (left.count > 0 && r >= 0 && *ret_error >= 0) {
			struct page_range part = {left.first, MIN(left.count, CALL_PAGES)};

			r = ask_words(m, part, sink, ret_error);
			left.first += part.count;
			left.count -= part.count;
		}
	}
	return r;
}

int remote_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error)
{
	struct ranges ranges = {0};
	struct mapper m = {.remote = remote_of(s), .ranges = &ranges};
	int error = gaps ? add_range(&ranges, range.first, range.count) : map_runs(&m, range);
	int code = 0;

	*ret_unsure = 0; /* the service does not count them */
	if (error >= 0)
		code = sink->begin(sink->context);
	if (error >= 0 && code == 0)
		error = ask_all_words(&m, sink, ret_error);
	free(ranges.items);
	return error < 0 ? remote_failed(m.remote, error) : code;
}

int remote_report_pagemap(struct source *s)
{
	const struct remote *r = remote_of(s);

	if (!r->stable)
		note("not stable: %" PRIu64 " pages changed state between two looks", r->moved);
	for (size_t i = 0; i < r->doubts.n_items; i++)
		incomplete("%s", r->doubts.items[i]);
	return r->doubts.n_items > 0 || r->incomplete ? EXIT_INCOMPLETE : 0;
}
