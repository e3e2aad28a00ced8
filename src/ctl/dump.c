/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/bitmap.h"
#include "ctl/json.h"
#include "ctl/report.h"
#include "ctl/source.h"
#include "ctl/summary.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

static struct cell cell_first(const void *row)
{
	return cell_number(((const struct extent *)row)->first);
}

static struct cell cell_count(const void *row)
{
	return cell_number(((const struct extent *)row)->count);
}

static struct cell cell_state(const void *row)
{
	return cell_text(page_state_to_string(((const struct extent *)row)->state));
}

/* Fixed widths: extents are printed as they come, however many. */
static const struct column columns[] = {
	{"FIRST", "first", true, false, 12, cell_first},
	{"COUNT", "count", true, false, 12, cell_count},
	{"STATE", "state", false, false, 10, cell_state},
};

/* The next extent in one of the states that were asked for. */
static bool next_asked(struct state_cursor *cursor, const struct options *o, struct extent *ret)
{
	while (state_cursor_next(cursor, ret))
		if (o->states & PAGE_STATE_BIT(ret->state))
			return true;
	return false;
}

static void print_table(const struct options *o, const struct table *t, const struct object *object,
			const struct snapshot *s)
{
	struct state_cursor cursor = state_map_seek(&s->map, s->first);
	struct extent e;

	if (!o->no_legend) {
		summary_print(object, s, o->bytes);
		putchar('\n');
		table_print_header(t);
	}
	while (next_asked(&cursor, o, &e))
		table_print_row(t, &e);
}

static void print_csv(const struct options *o, const struct table *t, const struct snapshot *s)
{
	struct state_cursor cursor = state_map_seek(&s->map, s->first);
	struct extent e;

	if (!o->no_legend)
		csv_print_header(t);
	while (next_asked(&cursor, o, &e))
		csv_print_row(t, &e);
}

static void print_json(const struct options *o, const struct table *t, const struct object *object,
		       const struct snapshot *s)
{
	struct state_cursor cursor = state_map_seek(&s->map, s->first);
	struct json_object *j = json_of_object(object);
	struct json_stream stream;
	struct extent e;

	json_add_snapshot(j, s, o->states);
	json_add_settled(j, s, o);
	json_stream_open(&stream, o->json, j, "extents");
	while (next_asked(&cursor, o, &e))
		json_stream_item(&stream, table_json_row(t, o, &e));
	json_stream_close(&stream);
}

static int print(const struct options *o, const struct table *t, const struct object *object,
		 const struct snapshot *s)
{
	switch (o->format) {
	case FORMAT_TABLE:
		pager_open(o->no_pager);
		print_table(o, t, object, s);
		break;
	case FORMAT_JSON:
		pager_open(o->no_pager);
		print_json(o, t, object, s);
		break;
	case FORMAT_CSV:
		pager_open(o->no_pager);
		print_csv(o, t, s);
		break;
	case FORMAT_BITMAP:
		return bitmap_print(s, o->states);
	case FORMAT_RAW:
		break; /* not for dump: options_parse() refuses it */
	}
	return 0;
}

int verb_dump(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	_cleanup_(snapshot_done) struct snapshot snapshot = {0};
	struct page_range range = ALL_PAGES;
	const struct object *object = NULL;
	struct table t;
	int r = table_init(&t, columns, ARRAY_SIZE(columns), o);

	if (r == 0)
		r = options_page_range(o, &range);
	if (r == 0)
		r = source_open(o, &s);
	if (r == 0)
		r = source_classify(s, range, &object, &snapshot);
	if (r == 0)
		r = print(o, &t, object, &snapshot);
	return r != 0 ? r : report_answer(&snapshot, o);
}
