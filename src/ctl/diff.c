/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json.h"
#include "ctl/remote.h"
#include "ctl/report.h"
#include "ctl/summary.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "json/decode.h"
#include "json/get.h"
#include "model/delta.h"

static struct cell cell_first(const void *row)
{
	return cell_number(((const struct change *)row)->first);
}

static struct cell cell_count(const void *row)
{
	return cell_number(((const struct change *)row)->count);
}

/* Behind the end of the object nothing is in any state. */
static struct cell cell_of_state(int state)
{
	if (state == CHANGE_BEYOND)
		return cell_text(NULL);
	return cell_text(page_state_to_string((enum page_state)state));
}

static struct cell cell_from(const void *row)
{
	return cell_of_state(((const struct change *)row)->from);
}

static struct cell cell_to(const void *row)
{
	return cell_of_state(((const struct change *)row)->to);
}

/* Fixed widths: changes are printed as they come, however many. */
static const struct column columns[] = {
	{"FIRST", "first", true, false, 12, cell_first},
	{"COUNT", "count", true, false, 12, cell_count},
	{"FROM", "from", false, false, 10, cell_from},
	{"TO", "to", false, false, 10, cell_to},
};

/* What is printed while replies come. */
struct printer {
	const struct options *options;
	const struct object *object; /* NULL: the output does not name it */
	struct table table;
	struct json_stream stream;
	struct snapshot head; /* of the first reply, without a map */
	bool begun;
};

static void print_head(struct printer *p)
{
	const struct options *o = p->options;
	struct json_object *j;

	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON) {
		j = json_of_object(p->object);
		json_add_snapshot(j, &p->head, o->states);
		json_add_settled(j, &p->head, o);
		json_object_object_add(j, "since", json_number(o->since));
		json_stream_open(&p->stream, o->json, j, "changes");
	} else if (o->format == FORMAT_TABLE && !o->no_legend) {
		summary_print(p->object, &p->head, o->bytes);
		printf("    Since: %" PRIu64 "\n\n", o->since);
		table_print_header(&p->table);
	} else if (o->format == FORMAT_CSV && !o->no_legend) {
		csv_print_header(&p->table);
	}
}

static int begin(struct printer *p, struct json_object *reply)
{
	uint64_t page_size;
	int r;

	if (p->begun)
		return 0;
	if (!json_get_number(reply, "pageSize", &page_size) || page_size == 0)
		return -EBADMSG;
	r = snapshot_from_json(reply, page_size, &p->head);
	if (r < 0)
		return r;
	p->begun = true;
	print_head(p);
	return 0;
}

static void print_change(struct printer *p, const struct change *c)
{
	if (p->options->format == FORMAT_JSON)
		json_stream_item(&p->stream, table_json_row(&p->table, p->options, c));
	else if (p->options->format == FORMAT_CSV)
		csv_print_row(&p->table, c);
	else
		table_print_row(&p->table, c);
}

static int handle_reply(void *context, struct json_object *reply)
{
	struct printer *p = context;
	struct json_object *array;
	struct change c;
	int r = begin(p, reply);

	if (r < 0)
		return r;
	if (!json_get(reply, "changes", json_type_array, &array))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		r = change_from_json(json_object_array_get_idx(array, i), &c);
		if (r < 0)
			return r;
		print_change(p, &c);
	}
	return 0;
}

static struct json_object *make_parameters(struct remote *r, struct page_range range)
{
	struct json_object *j = json_object_new_object();

	remote_add_probe(r, j);
	remote_add_range(r, j, range);
	remote_add_settle(r, j);
	remote_add_since(r, j);
	return j;
}

static int diff(struct remote *r, struct printer *p, struct page_range range)
{
	int error, code = remote_check_object(r);

	if (code == 0)
		code = remote_find_named(r, &p->object);
	if (code != 0)
		return code;
	error = remote_ask_more(r, "Classify", make_parameters(r, range), true, handle_reply, p);
	if (error < 0)
		return remote_failed(r, error);
	if (p->options->format == FORMAT_JSON)
		json_stream_close(&p->stream);
	return report_answer(&p->head, p->options);
}

int verb_diff(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	struct printer p = {.options = o};
	struct page_range range = ALL_PAGES;
	int r = table_init(&p.table, columns, ARRAY_SIZE(columns), o);

	if (r == 0)
		r = options_page_range(o, &range);
	if (r == 0)
		r = remote_open_needed(o, &s);
	if (r == 0)
		r = diff(remote_of(s), &p, range);
	snapshot_done(&p.head);
	return r;
}
