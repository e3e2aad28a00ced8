/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/json.h"
#include "ctl/live.h"
#include "ctl/monitor.h"
#include "ctl/table.h"
#include "json/get.h"

#define ROW(row) ((const struct monitor_row *)(row))

static struct cell cell_of_figure(struct figure f)
{
	return f.known ? cell_bytes(f.n) : cell_text(NULL);
}

static struct cell cell_name(const void *row)
{
	return cell_text(ROW(row)->name);
}

static struct cell cell_object(const void *row)
{
	return cell_text(ROW(row)->object);
}

static struct cell cell_kind(const void *row)
{
	return cell_text(ROW(row)->kind);
}

static struct cell cell_objects(const void *row)
{
	return cell_number(ROW(row)->objects);
}

static struct cell cell_out(const void *row)
{
	return cell_of_figure(ROW(row)->out);
}

static struct cell cell_in(const void *row)
{
	return cell_of_figure(ROW(row)->in);
}

static struct cell cell_present(const void *row)
{
	return cell_of_figure(ROW(row)->present);
}

static struct cell cell_swap_cache(const void *row)
{
	return cell_of_figure(ROW(row)->swap_cache);
}

static struct cell cell_swapped(const void *row)
{
	return cell_of_figure(ROW(row)->swapped);
}

/* Fixed widths: tables follow each other, and are to look alike. */
#define FIGURES                                                                              \
	{"OUT/S", "out", true, false, 8, cell_out}, {"IN/S", "in", true, false, 8, cell_in}, \
		{"PRESENT", "present", true, false, 8, cell_present},                        \
		{"SWAPCACHE", "swapCache", true, false, 9, cell_swap_cache},                 \
	{                                                                                    \
		"SWAPPED", "swapped", true, false, 8, cell_swapped                           \
	}

static const struct column by_object[] = {
	{"OBJECT", "object", false, false, 16, cell_name},
	{"KIND", "kind", false, false, 11, cell_kind},
	FIGURES,
	{"NAME", "name", false, false, 0, cell_object},
};

static const struct column by_unit[] = {
	{"OBJECTS", "objects", true, false, 7, cell_objects},
	FIGURES,
	{"UNIT", "unit", false, false, 0, cell_name},
};

struct monitor {
	const struct options *options;
	struct table table;
	struct monitor_rows rows;
	struct json_object *whole; /* of an interval, so far */
	uint64_t intervals;
	bool said_cut;
};

static void print_rows(struct monitor *m, const char *at)
{
	const struct options *o = m->options;
	unsigned lines = 0, room = 0;

	if (live_is_picture(o))
		room = live_next_picture();
	if (!o->no_legend) {
		printf("%s\n", at);
		table_print_header(&m->table);
		lines = 2;
	}
	for (size_t i = 0; i < m->rows.n_items && (room == 0 || ++lines < room); i++)
		table_print_row(&m->table, &m->rows.items[i]);
	if (!live_is_picture(o))
		putchar('\n');
}

static void print_table(struct monitor *m)
{
	time_t now = time(NULL);
	struct tm tm;
	char at[32] = "";

	if (localtime_r(&now, &tm))
		strftime(at, sizeof(at), "%F %T", &tm);
	monitor_rows_sort(&m->rows);
	print_rows(m, at);
	if (m->rows.cut && !m->said_cut)
		note("some objects are of more groups than are told");
	m->said_cut |= m->rows.cut;
	monitor_rows_done(&m->rows);
}

/* An interval may come in several replies, each with some of the objects. */
static int add_to_whole(struct monitor *m, struct json_object *reply)
{
	struct json_object *objects, *more;

	if (!m->whole) {
		m->whole = json_object_get(reply);
		json_object_object_del(m->whole, "complete");
		return 0;
	}
	if (!json_get(m->whole, "objects", json_type_array, &objects) ||
	    !json_get(reply, "objects", json_type_array, &more))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(more); i++)
		json_object_array_add(objects, json_object_get(json_object_array_get_idx(more, i)));
	return 0;
}

static void finish_interval(struct monitor *m)
{
	if (m->options->format == FORMAT_JSON)
		json_print(m->options->json, m->whole);
	else
		print_table(m);
	m->whole = NULL;
	m->intervals++;
}

static int handle_reply(void *context, struct json_object *reply)
{
	struct monitor *m = context;
	const struct options *o = m->options;
	bool complete;
	int r;

	if (!json_get_bool(reply, "complete", &complete))
		return -EBADMSG;
	if (o->format == FORMAT_JSON)
		r = add_to_whole(m, reply);
	else
		r = monitor_rows_add(&m->rows, o->by_unit, reply);
	if (r < 0 || !complete)
		return r;
	finish_interval(m);
	return o->count > 0 && m->intervals >= o->count ? LIVE_ENOUGH : 0;
}

static int monitor(struct remote *r)
{
	const struct options *o = r->base.options;
	struct monitor m = {.options = o};
	struct json_object *parameters = json_object_new_object();
	const struct column *columns = o->by_unit ? by_unit : by_object;
	size_t n = o->by_unit ? ARRAY_SIZE(by_unit) : ARRAY_SIZE(by_object);
	int code;

	table_init(&m.table, columns, n, o);
	remote_add_probe(r, parameters);
	remote_add_interval(r, parameters);
	code = live_ask(r, "Monitor", parameters, true, handle_reply, &m, NULL);
	json_object_put(m.whole);
	monitor_rows_done(&m.rows);
	return code;
}

int verb_monitor(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	int r = remote_open_needed(o, &s);

	return r != 0 ? r : monitor(remote_of(s));
}
