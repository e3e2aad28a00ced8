/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/json.h"
#include "ctl/source.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

#define ROW(row) ((const struct capability *)(row))

static struct cell cell_name(const void *row)
{
	return cell_text(ROW(row)->name);
}

static struct cell cell_works(const void *row)
{
	return (struct cell){.type = CELL_BOOL, .number = ROW(row)->works};
}

static struct cell cell_purpose(const void *row)
{
	return cell_text(ROW(row)->tells);
}

static struct cell cell_reason(const void *row)
{
	return cell_text(ROW(row)->reason);
}

static const struct column columns[] = {
	{"CAPABILITY", "capability", false, false, 0, cell_name},
	{"WORKS", "works", false, false, 0, cell_works},
	{"TELLS", "tells", false, false, 0, cell_purpose},
	{"REASON", "reason", false, false, 0, cell_reason},
};

static void print_json(const struct options *o, const struct table *t, const struct capabilities *c)
{
	struct json_object *j = json_object_new_object(), *array = json_object_new_array();

	json_object_object_add(j, "kernel", json_object_new_string(c->kernel));
	json_object_object_add(j, "machine", json_object_new_string(c->machine));
	json_object_object_add(j, "pageSize", json_object_new_int64((int64_t)c->page_size));
	json_object_object_add(j, "probe", json_object_new_string(c->probe));
	for (size_t i = 0; i < c->n_items; i++)
		json_object_array_add(array, table_json_row(t, o, &c->items[i]));
	json_object_object_add(j, "capabilities", array);
	json_print(o->json, j);
}

static void print_table(const struct options *o, struct table *t, const struct capabilities *c)
{
	for (size_t i = 0; i < c->n_items; i++)
		table_measure(t, &c->items[i]);
	if (!o->no_legend)
		printf("Kernel %s (%s), pages of %llu bytes, probe: %s\n\n", c->kernel, c->machine,
		       (unsigned long long)c->page_size, c->probe);
	if (!o->no_legend)
		table_print_header(t);
	for (size_t i = 0; i < c->n_items; i++)
		table_print_row(t, &c->items[i]);
}

int verb_capabilities(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	_cleanup_(capabilities_done) struct capabilities c = {0};
	struct table t;
	int r = table_init(&t, columns, ARRAY_SIZE(columns), o);

	if (r == 0)
		r = source_open(o, &s);
	if (r == 0)
		r = source_capabilities(s, &c);
	if (r != 0)
		return r;
	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON)
		print_json(o, &t, &c);
	else
		print_table(o, &t, &c);
	return 0;
}
