/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/report.h"
#include "ctl/source.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"

struct list_row {
	const struct listed *item;
	char id[OBJECT_ID_MAX];
	char *name; /* escaped; owned */
};

#define ROW(row) ((const struct list_row *)(row))

/* The snapshot's size is that of the look; what discovery saw is older. */
static struct cell cell_size(const void *row)
{
	const struct listed *l = ROW(row)->item;

	if (!l->reason)
		return cell_bytes(l->snapshot.size);
	return l->object->have_size ? cell_bytes(l->object->size) : (struct cell){0};
}

static struct cell cell_id(const void *row)
{
	return cell_text(ROW(row)->id);
}

static struct cell cell_kind(const void *row)
{
	return cell_text(object_kind_to_string(ROW(row)->item->object->kind));
}

static struct cell cell_name(const void *row)
{
	return cell_text(ROW(row)->name);
}

static struct cell state_bytes(const void *row, enum page_state state)
{
	const struct listed *l = ROW(row)->item;

	if (l->reason)
		return (struct cell){0};
	return cell_bytes(l->snapshot.counts[state] * l->snapshot.page_size);
}

#define STATE_CELL(name, state)                         \
	static struct cell cell_##name(const void *row) \
	{                                               \
		return state_bytes(row, state);         \
	}

STATE_CELL(hole, PAGE_HOLE)
STATE_CELL(allocated, PAGE_ALLOCATED)
STATE_CELL(present, PAGE_PRESENT)
STATE_CELL(swap_cache, PAGE_SWAP_CACHE)
STATE_CELL(swapped, PAGE_SWAPPED)
STATE_CELL(poisoned, PAGE_POISONED)
STATE_CELL(in_core, PAGE_IN_CORE)
STATE_CELL(unknown, PAGE_UNKNOWN)

static struct cell cell_holders(const void *row)
{
	return cell_number(ROW(row)->item->processes);
}

static struct cell cell_fds(const void *row)
{
	return cell_number(ROW(row)->item->holders);
}

static struct cell cell_mappers(const void *row)
{
	return cell_number(ROW(row)->item->mappers);
}

static struct cell cell_page_size(const void *row)
{
	return cell_bytes(ROW(row)->item->object->page_size);
}

static struct cell cell_swappable(const void *row)
{
	return (struct cell){.type = CELL_BOOL,
			     .number = object_kind_is_swappable(ROW(row)->item->object->kind)};
}

static struct cell cell_stable(const void *row)
{
	if (ROW(row)->item->reason)
		return (struct cell){0};
	return (struct cell){.type = CELL_BOOL, .number = ROW(row)->item->snapshot.stable};
}

static struct cell cell_reason(const void *row)
{
	return cell_text(ROW(row)->item->reason);
}

static const struct column columns[] = {
	{"ID", "id", false, false, 0, cell_id},
	{"KIND", "kind", false, false, 0, cell_kind},
	{"SIZE", "size", true, false, 0, cell_size},
	{"PRESENT", "present", true, false, 0, cell_present},
	{"SWAPCACHE", "swapCache", true, false, 0, cell_swap_cache},
	{"SWAPPED", "swapped", true, false, 0, cell_swapped},
	{"HOLE", "hole", true, false, 0, cell_hole},
	{"HOLDERS", "holders", true, false, 0, cell_holders},
	{"ALLOCATED", "allocated", true, true, 0, cell_allocated},
	{"POISONED", "poisoned", true, true, 0, cell_poisoned},
	{"INCORE", "inCore", true, true, 0, cell_in_core},
	{"UNKNOWN", "unknown", true, true, 0, cell_unknown},
	{"FDS", "fds", true, true, 0, cell_fds},
	{"MAPPINGS", "mappings", true, true, 0, cell_mappers},
	{"PAGESIZE", "pageSize", true, true, 0, cell_page_size},
	{"SWAPPABLE", "swappable", false, true, 0, cell_swappable},
	{"STABLE", "stable", false, true, 0, cell_stable},
	{"REASON", "reason", false, true, 0, cell_reason},
	{"NAME", "name", false, false, 0, cell_name},
};

static const struct column *sort_column;

static int row_compare(const void *a, const void *b)
{
	struct cell x = sort_column->cell(a), y = sort_column->cell(b);

	if (x.type == CELL_NULL || y.type == CELL_NULL)
		return (x.type != CELL_NULL) - (y.type != CELL_NULL);
	if (x.type == CELL_TEXT)
		return strcmp(x.text, y.text);
	return x.number < y.number ? -1 : x.number > y.number;
}

static void reverse_rows(struct list_row *rows, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct list_row tmp = rows[i];

		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = tmp;
	}
}

static int row_name(const struct object *o, char **ret)
{
	static const char deleted[] = " (deleted)";
	char *name, *longer;

	*ret = NULL;
	if (!o->name)
		return 0;
	name = text_escape(o->name);
	if (name && o->deleted) {
		longer = realloc(name, strlen(name) + sizeof(deleted));
		if (!longer) {
			free(name);
			return -ENOMEM;
		}
		name = strcat(longer, deleted);
	}
	*ret = name;
	return name ? 0 : -ENOMEM;
}

static int fill_rows(const struct listing *listing, struct list_row *rows)
{
	for (size_t i = 0; i < listing->n_items; i++) {
		rows[i].item = &listing->items[i];
		object_id_text(rows[i].item->object, rows[i].id);
		if (row_name(rows[i].item->object, &rows[i].name) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void print_json(const struct options *o, const struct table *t, const struct list_row *rows,
		       size_t n)
{
	struct json_object *array = json_object_new_array();
	int flags = o->json == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY : JSON_C_TO_STRING_PLAIN;

	for (size_t i = 0; i < n; i++)
		json_object_array_add(array, table_json_row(t, o, &rows[i]));
	puts(json_object_to_json_string_ext(array, flags | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
}

static void print_table(const struct options *o, struct table *t, const struct list_row *rows,
			size_t n)
{
	for (size_t i = 0; i < n; i++)
		table_measure(t, &rows[i]);
	if (!o->no_legend)
		table_print_header(t);
	for (size_t i = 0; i < n; i++)
		table_print_row(t, &rows[i]);
}

/* Kinds that have no states are no gap in the answer; what was barred or moved away is. */
static int report_items(const struct listing *l)
{
	size_t barred = 0, unknown = 0;
	int code = 0;

	for (size_t i = 0; i < l->n_items; i++) {
		barred += l->items[i].barred;
		unknown += !l->items[i].reason && l->items[i].snapshot.counts[PAGE_UNKNOWN] > 0;
	}
	if (barred > 0)
		code = incomplete("%zu object%s could not be looked at; -o id,reason says why",
				  barred, barred == 1 ? "" : "s");
	if (unknown > 0)
		code = incomplete("%zu object%s with pages not determined; see -o id,unknown",
				  unknown, unknown == 1 ? "" : "s");
	return code;
}

static int print_rows(const struct options *o, struct table *t, const struct listing *listing)
{
	struct list_row *rows = calloc(listing->n_items + 1, sizeof(*rows));
	int r = rows ? fill_rows(listing, rows) : -ENOMEM;
	size_t n = listing->n_items;

	if (r >= 0) {
		if (sort_column)
			qsort(rows, n, sizeof(*rows), row_compare);
		if (o->reverse)
			reverse_rows(rows, n);
		pager_open(o->no_pager);
		if (o->format == FORMAT_JSON)
			print_json(o, t, rows, n);
		else
			print_table(o, t, rows, n);
	}
	for (size_t i = 0; rows && i < n; i++)
		free(rows[i].name);
	free(rows);
	return r < 0 ? failed("out of memory") : 0;
}

static int list(const struct options *o, struct table *t)
{
	_cleanup_(source_closep) struct source *s = NULL;
	_cleanup_(listing_done) struct listing listing = {0};
	bool stability = table_shows(t, o, "STABLE") ||
			 (sort_column && strcmp(sort_column->name, "STABLE") == 0);
	int gaps, code = source_open(o, &s);

	if (code == 0)
		code = source_list(s, stability, &listing);
	if (code == 0)
		code = print_rows(o, t, &listing);
	if (code != 0)
		return code;
	code = report_items(&listing);
	gaps = source_report_gaps(s);
	return code ? code : gaps;
}

int verb_list(const struct options *o)
{
	struct table t;
	int r = table_init(&t, columns, ARRAY_SIZE(columns), o);

	if (r != 0)
		return r;
	if (o->sort) {
		sort_column = table_find_column(columns, ARRAY_SIZE(columns), "sort", o->sort,
						strlen(o->sort));
		if (!sort_column)
			return EXIT_USAGE;
	}
	return list(o, &t);
}
