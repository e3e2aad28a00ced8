/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json.h"
#include "ctl/query.h"
#include "ctl/raw.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"

/* A run of pages of one mapping, as it is printed. */
struct view_row {
	const struct view_mapping *mapping;
	uint64_t start; /* bytes */
	uint64_t end;
	uint64_t pages;
	int state;
	char id[OBJECT_ID_MAX];
	char *name; /* escaped, owned */
};

#define ROW(row) ((const struct view_row *)(row))

static struct cell cell_start(const void *row)
{
	return (struct cell){.type = CELL_ADDRESS, .number = ROW(row)->start};
}

static struct cell cell_end(const void *row)
{
	return (struct cell){.type = CELL_ADDRESS, .number = ROW(row)->end};
}

static struct cell cell_pages(const void *row)
{
	return cell_number(ROW(row)->pages);
}

static struct cell cell_state(const void *row)
{
	return cell_text(view_state_to_string(ROW(row)->state));
}

static struct cell cell_sharing(const void *row)
{
	return cell_text(ROW(row)->mapping->where.shared ? "shared" : "private");
}

static struct cell cell_offset(const void *row)
{
	const struct object_mapper *m = &ROW(row)->mapping->where;

	return cell_number(m->offset + (ROW(row)->start - m->start));
}

static struct cell cell_object(const void *row)
{
	return cell_text(ROW(row)->id);
}

static struct cell cell_kind(const void *row)
{
	return cell_text(object_kind_to_string(ROW(row)->mapping->object->kind));
}

static struct cell cell_name(const void *row)
{
	return cell_text(ROW(row)->name);
}

static const struct column columns[] = {
	{"START", "start", true, false, 12, cell_start},
	{"END", "end", true, false, 12, cell_end},
	{"PAGES", "pages", true, false, 10, cell_pages},
	{"STATE", "state", false, false, 15, cell_state},
	{"SHARING", "sharing", false, false, 7, cell_sharing},
	{"OBJECT", "object", false, false, 14, cell_object},
	{"OFFSET", "offset", true, true, 12, cell_offset},
	{"KIND", "kind", false, true, 11, cell_kind},
	{"NAME", "name", false, false, 4, cell_name},
};

/* The printing under way. */
struct printer {
	const struct options *options;
	const struct table *table;
	struct json_stream stream;
	uint64_t page_size;
	uint64_t undetermined;              /* pages */
	const struct view_mapping *mapping; /* that row's texts are made for */
	struct view_row row;
};

/* With --state, a process's own pages count as what they are: in RAM or in swap. */
static bool is_asked(const struct options *o, int state)
{
	if (!o->have_states)
		return true;
	if (state == VIEW_PRIVATE_PRESENT)
		state = PAGE_PRESENT;
	if (state == VIEW_PRIVATE_SWAPPED)
		state = PAGE_SWAPPED;
	return state < PAGE_STATE_MAX && (o->states & PAGE_STATE_BIT(state));
}

static void printer_set_mapping(struct printer *p, const struct view_mapping *m)
{
	if (p->mapping == m)
		return;
	free(p->row.name);
	p->row.name = m->object->name ? text_escape(m->object->name) : NULL;
	query_object_id(m->object, p->row.id);
	p->row.mapping = m;
	p->mapping = m;
}

static int print_run(void *context, const struct view_mapping *m, uint64_t page, uint64_t count,
		     int state)
{
	struct printer *p = context;

	if (state == PAGE_UNKNOWN || state == VIEW_PRIVATE_UNKNOWN || state == VIEW_BARRED)
		p->undetermined += count;
	if (!is_asked(p->options, state))
		return 0;
	printer_set_mapping(p, m);
	p->row.start = page * p->page_size;
	p->row.end = (page + count) * p->page_size;
	p->row.pages = count;
	p->row.state = state;
	if (p->options->format == FORMAT_JSON)
		json_stream_item(&p->stream, table_json_row(p->table, p->options, &p->row));
	else if (p->options->format == FORMAT_CSV)
		csv_print_row(p->table, &p->row);
	else
		table_print_row(p->table, &p->row);
	return 0;
}

static uint64_t count_moved(const struct process_view *v)
{
	uint64_t moved = 0;

	for (size_t i = 0; i < v->n_snapshots; i++)
		moved += v->snapshots[i].moved;
	return moved;
}

static void print_head(struct printer *p, const struct process_view *v)
{
	struct json_object *j;

	if (p->options->format == FORMAT_JSON) {
		j = json_object_new_object();
		json_object_object_add(j, "pid", json_object_new_int(v->pid));
		json_object_object_add(j, "pageSize", json_object_new_int64((int64_t)p->page_size));
		json_object_object_add(j, "stable", json_object_new_boolean(count_moved(v) == 0));
		json_object_object_add(j, "movedPages",
				       json_object_new_int64((int64_t)count_moved(v)));
		json_stream_open(&p->stream, p->options->json, j, "extents");
	} else if (!p->options->no_legend && p->options->format == FORMAT_CSV) {
		csv_print_header(p->table);
	} else if (!p->options->no_legend) {
		table_print_header(p->table);
	}
}

static int print_view(const struct process_view *v, const struct options *o, const struct table *t,
		      struct page_range range)
{
	struct printer p = {.options = o, .table = t, .page_size = v->page_size};
	int r = 0;

	pager_open(o->no_pager);
	print_head(&p, v);
	for (size_t i = 0; i < v->n_mappings && r >= 0; i++)
		r = view_walk(v, &v->mappings[i], range, print_run, &p);
	if (o->format == FORMAT_JSON)
		json_stream_close(&p.stream);
	free(p.row.name);
	if (r < 0)
		return failed("--pid=%d: %s", (int)v->pid, text_error(r));
	if (p.undetermined > 0)
		return incomplete("%" PRIu64 " pages not determined", p.undetermined);
	return 0;
}

/* Why some mapping, or some page of one, has no state. */
static int report_view(const struct process_view *v, const struct options *o)
{
	int code = 0;

	for (size_t i = 0; i < v->n_mappings; i++) {
		const struct view_mapping *m = &v->mappings[i];
		char id[OBJECT_ID_MAX];

		if (m->error < 0 && m->error != -EOPNOTSUPP)
			code = incomplete("%" PRIx64 "-%" PRIx64 ": object %s: %s", m->where.start,
					  m->where.end, query_object_id(m->object, id),
					  text_error(m->error));
	}
	for (size_t i = 0; i < v->n_snapshots; i++) {
		int r = query_report_snapshot(&v->snapshots[i], o->states);

		code = r ? r : code;
	}
	return code;
}

static int run_view(struct query *q, const struct options *o, const struct table *t,
		    struct page_range range)
{
	_cleanup_(process_view_done) struct process_view v = {.pagemap_fd = -1};
	int reported, code;
	int r = process_view_build(&q->prober, &q->discovery, o->selector.pid, q->objects,
				   (size_t)q->n_objects, range, &v);

	/* Only these words have room for it. */
	if (r >= 0 && o->format == FORMAT_RAW)
		r = process_view_locate(&v, &q->prober, &q->discovery);
	if (r < 0)
		return failed("--pid=%d: %s", (int)o->selector.pid, text_error(r));
	code = o->format == FORMAT_RAW ? raw_print(&v, o, range) : print_view(&v, o, t, range);
	reported = report_view(&v, o);
	return code ? code : reported;
}

int verb_pagemap(const struct options *o)
{
	_cleanup_(query_done) struct query q = QUERY_NONE;
	struct page_range range = PROBE_ALL;
	struct table t;
	int code, r = table_init(&t, columns, ARRAY_SIZE(columns), o);

	if (r != 0)
		return r;
	if (o->range && parse_address_range(o->range, (uint64_t)sysconf(_SC_PAGESIZE), &range) < 0)
		return usage_error("--range=%s: expected START-END or START+LENGTH, with "
				   "hexadecimal addresses on page borders",
				   o->range);
	r = query_open(&q, o, false);
	if (r != 0)
		return r;
	if (q.discovery.n_denied_processes > 0)
		return failed("--pid=%d: permission denied", (int)o->selector.pid);
	code = run_view(&q, o, &t, range);
	r = query_report_denied(&q);
	return code ? code : r;
}
