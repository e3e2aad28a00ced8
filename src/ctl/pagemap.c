/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json.h"
#include "ctl/raw.h"
#include "ctl/source.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "view/process_view.h"

#define RUN(row) ((const struct mapped *)(row))

static struct cell cell_start(const void *row)
{
	return (struct cell){.type = CELL_ADDRESS, .number = RUN(row)->start};
}

static struct cell cell_end(const void *row)
{
	return (struct cell){.type = CELL_ADDRESS, .number = RUN(row)->end};
}

static struct cell cell_pages(const void *row)
{
	return cell_number(RUN(row)->pages);
}

static struct cell cell_state(const void *row)
{
	return cell_text(view_state_to_string(RUN(row)->state));
}

static struct cell cell_sharing(const void *row)
{
	return cell_text(RUN(row)->shared ? "shared" : "private");
}

static struct cell cell_offset(const void *row)
{
	return cell_number(RUN(row)->offset);
}

static struct cell cell_object(const void *row)
{
	return cell_text(RUN(row)->object);
}

static struct cell cell_kind(const void *row)
{
	return cell_text(object_kind_to_string(RUN(row)->kind));
}

static struct cell cell_name(const void *row)
{
	return cell_text(RUN(row)->name);
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
	bool began;
	uint64_t undetermined; /* pages */
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

static void print_run(void *context, const struct mapped *run)
{
	struct printer *p = context;

	if (run->state == PAGE_UNKNOWN || run->state == VIEW_PRIVATE_UNKNOWN ||
	    run->state == VIEW_BARRED)
		p->undetermined += run->pages;
	if (!is_asked(p->options, run->state))
		return;
	if (p->options->format == FORMAT_JSON)
		json_stream_item(&p->stream, table_json_row(p->table, p->options, run));
	else if (p->options->format == FORMAT_CSV)
		csv_print_row(p->table, run);
	else
		table_print_row(p->table, run);
}

static void print_head(void *context, const struct mapped_head *head)
{
	struct printer *p = context;
	const struct options *o = p->options;
	struct json_object *j;

	pager_open(o->no_pager);
	p->began = true;
	if (o->format == FORMAT_JSON) {
		j = json_object_new_object();
		json_object_object_add(j, "pid", json_object_new_int(o->selector.pid));
		json_object_object_add(j, "pageSize",
				       json_object_new_int64((int64_t)head->page_size));
		json_object_object_add(j, "stable", json_object_new_boolean(head->stable));
		json_object_object_add(j, "movedPages",
				       json_object_new_int64((int64_t)head->moved));
		json_stream_open(&p->stream, o->json, j, "extents");
	} else if (!o->no_legend && o->format == FORMAT_CSV) {
		csv_print_header(p->table);
	} else if (!o->no_legend) {
		table_print_header(p->table);
	}
}

static int print_view(struct source *s, const struct options *o, const struct table *t,
		      struct page_range range, bool *ret_answered)
{
	struct printer p = {.options = o, .table = t};
	struct mapped_sink sink = {.head = print_head, .run = print_run, .context = &p};
	int r = source_pagemap(s, range, &sink);

	*ret_answered = p.began;
	if (p.began && o->format == FORMAT_JSON)
		json_stream_close(&p.stream);
	if (r != 0)
		return r;
	if (p.undetermined > 0)
		return incomplete("%" PRIu64 " pages not determined", p.undetermined);
	return 0;
}

int verb_pagemap(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	struct page_range range = ALL_PAGES;
	bool answered = false;
	struct table t;
	int code, reported, gaps, r = table_init(&t, columns, ARRAY_SIZE(columns), o);

	if (r == 0)
		r = options_address_range(o, &range);
	if (r == 0)
		r = source_open(o, &s);
	if (r != 0)
		return r;
	code = o->format == FORMAT_RAW ? raw_print(s, o, range, &answered)
				       : print_view(s, o, &t, range, &answered);
	if (!answered)
		return code;
	reported = source_report_pagemap(s);
	gaps = source_report_gaps(s);
	return code ? code : reported ? reported : gaps;
}
