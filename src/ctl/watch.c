/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json.h"
#include "ctl/live.h"
#include "ctl/table.h"
#include "json/decode.h"
#include "json/get.h"
#include "model/delta.h"

/* A line: a stretch of pages, in the state that it is in at first or the one that it came to. */
struct line {
	const char *event; /* state or changes */
	struct change change;
};

static struct cell cell_event(const void *row)
{
	return cell_text(((const struct line *)row)->event);
}

static struct cell cell_first(const void *row)
{
	return cell_number(((const struct line *)row)->change.first);
}

static struct cell cell_count(const void *row)
{
	return cell_number(((const struct line *)row)->change.count);
}

static struct cell cell_of_state(int state)
{
	if (state == CHANGE_BEYOND)
		return cell_text(NULL);
	return cell_text(page_state_to_string((enum page_state)state));
}

static struct cell cell_from(const void *row)
{
	return cell_of_state(((const struct line *)row)->change.from);
}

static struct cell cell_to(const void *row)
{
	return cell_of_state(((const struct line *)row)->change.to);
}

static const struct column columns[] = {
	{"EVENT", "event", false, false, 8, cell_event},
	{"FIRST", "first", true, false, 12, cell_first},
	{"COUNT", "count", true, false, 12, cell_count},
	{"FROM", "from", false, false, 10, cell_from},
	{"TO", "to", false, false, 10, cell_to},
};

struct watcher {
	const struct options *options;
	struct table table;
	uint64_t batches; /* of changes, whole */
};

/* What was before is not known. */
static bool read_extent(struct json_object *j, struct change *ret)
{
	const char *text;

	ret->from = CHANGE_BEYOND;
	ret->to = json_get_text(j, "state", &text) ? page_state_from_string(text) : -EINVAL;
	return ret->to >= 0 && json_get_number(j, "first", &ret->first) &&
	       json_get_number(j, "count", &ret->count);
}

static int print_items(struct watcher *w, struct json_object *reply, const char *event,
		       const char *field)
{
	struct json_object *array;

	if (!json_get(reply, field, json_type_array, &array))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct line line = {.event = event};
		bool good = strcmp(field, "extents") == 0 ? read_extent(j, &line.change)
							  : change_from_json(j, &line.change) == 0;

		if (!good)
			return -EBADMSG;
		table_print_row(&w->table, &line);
	}
	return 0;
}

/* Who looks at a table sees for himself that nothing happens. */
static int print_reply(struct watcher *w, struct json_object *reply, const char *event)
{
	if (w->options->format == FORMAT_JSON) {
		json_print(w->options->json, json_object_get(reply));
		return 0;
	}
	if (strcmp(event, "state") == 0)
		return print_items(w, reply, event, "extents");
	if (strcmp(event, "changes") == 0)
		return print_items(w, reply, event, "changes");
	return 0;
}

static int handle_reply(void *context, struct json_object *reply)
{
	struct watcher *w = context;
	const char *event;
	uint64_t next;
	int r;

	if (!json_get_text(reply, "event", &event))
		return -EBADMSG;
	r = print_reply(w, reply, event);
	if (r < 0)
		return r;
	if (strcmp(event, "changes") == 0 && !json_get_number(reply, "next", &next))
		w->batches++;
	return w->options->count > 0 && w->batches >= w->options->count ? LIVE_ENOUGH : 0;
}

static struct json_object *make_parameters(struct remote *r, struct page_range range)
{
	struct json_object *j = json_object_new_object();

	remote_add_probe(r, j);
	remote_add_range(r, j, range);
	remote_add_states(r, j);
	return j;
}

static int watch(struct remote *r, struct page_range range)
{
	const struct options *o = r->base.options;
	struct watcher w = {.options = o};
	int code = table_init(&w.table, columns, ARRAY_SIZE(columns), o);

	if (code == 0)
		code = remote_check_object(r);
	if (code != 0)
		return code;
	if (o->format == FORMAT_TABLE && !o->no_legend)
		table_print_header(&w.table);
	return live_ask(r, "Subscribe", make_parameters(r, range), true, handle_reply, &w,
			"the object has gone");
}

int verb_watch(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	struct page_range range = ALL_PAGES;
	int r = options_page_range(o, &range);

	if (r == 0)
		r = remote_open_needed(o, &s);
	return r != 0 ? r : watch(remote_of(s), range);
}
