/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/query.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"

struct list_row {
	const struct object *object;
	char id[OBJECT_ID_MAX];
	char *name; /* escaped; owned */
	int error;  /* 0 if snapshot is there */
	struct snapshot snapshot;
};

#define ROW(row) ((const struct list_row *)(row))

/* The snapshot's size is that of the look; what discovery saw is older. */
static struct cell cell_size(const void *row)
{
	const struct list_row *r = ROW(row);

	if (r->error == 0)
		return cell_bytes(r->snapshot.size);
	return r->object->have_size ? cell_bytes(r->object->size) : (struct cell){0};
}

static struct cell cell_id(const void *row)
{
	return cell_text(ROW(row)->id);
}

static struct cell cell_kind(const void *row)
{
	return cell_text(object_kind_to_string(ROW(row)->object->kind));
}

static struct cell cell_name(const void *row)
{
	return cell_text(ROW(row)->name);
}

static struct cell state_bytes(const void *row, enum page_state state)
{
	const struct list_row *r = ROW(row);

	if (r->error)
		return (struct cell){0};
	return cell_bytes(r->snapshot.counts[state] * r->snapshot.page_size);
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
	return cell_number(object_count_processes(ROW(row)->object));
}

static struct cell cell_fds(const void *row)
{
	return cell_number(ROW(row)->object->n_holders);
}

static struct cell cell_mappers(const void *row)
{
	return cell_number(ROW(row)->object->n_mappers);
}

static struct cell cell_page_size(const void *row)
{
	return cell_bytes(ROW(row)->object->page_size);
}

static struct cell cell_swappable(const void *row)
{
	return (struct cell){.type = CELL_BOOL,
			     .number = object_kind_is_swappable(ROW(row)->object->kind)};
}

static struct cell cell_stable(const void *row)
{
	if (ROW(row)->error)
		return (struct cell){0};
	return (struct cell){.type = CELL_BOOL, .number = ROW(row)->snapshot.stable};
}

static struct cell cell_reason(const void *row)
{
	return cell_text(ROW(row)->error ? text_error(ROW(row)->error) : NULL);
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

/*
 * Objects that go away meanwhile are left out; those that cannot be opened stay, without states.
 * The maps are not needed, and would add up.
 */
static int fill_rows(struct query *q, const struct options *o, bool ask_stable,
		     struct list_row *rows, size_t *ret_n)
{
	size_t n = 0;

	for (int i = 0; i < q->n_objects; i++) {
		const struct object *object = q->objects[i];
		struct list_row *row = &rows[n];

		if (o->kinds && !(o->kinds & UINT32_C(1) << object->kind))
			continue;
		row->object = object;
		query_object_id(object, row->id);
		row->error = ask_stable ? inspect_object(&q->prober, &q->discovery, object,
							 PROBE_ALL, &row->snapshot)
					: inspect_object_once(&q->prober, &q->discovery, object,
							      &row->snapshot);
		if (row->error == -ENOENT)
			continue;
		state_map_done(&row->snapshot.map);
		n++;
		if (row_name(object, &row->name) < 0)
			return -ENOMEM;
	}
	*ret_n = n;
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
static int report_rows(const struct list_row *rows, size_t n)
{
	size_t barred = 0, unknown = 0;
	int code = 0;

	for (size_t i = 0; i < n; i++) {
		barred += rows[i].error < 0 && rows[i].error != -EOPNOTSUPP;
		unknown += rows[i].error == 0 && rows[i].snapshot.counts[PAGE_UNKNOWN] > 0;
	}
	if (barred > 0)
		code = incomplete("%zu object%s could not be looked at; -o id,reason says why",
				  barred, barred == 1 ? "" : "s");
	if (unknown > 0)
		code = incomplete("%zu object%s with pages not determined; see -o id,unknown",
				  unknown, unknown == 1 ? "" : "s");
	return code;
}

static bool is_readable(const struct query *q, pid_t pid)
{
	_cleanup_(discovery_done) struct discovery d = {.proc_fd = -1};

	if (discover(&q->caps, "/proc", pid, &d) < 0)
		return false;
	return d.n_denied_processes == 0 && d.n_denied_mappings == 0;
}

static int list_rows(struct query *q, const struct options *o, struct table *t)
{
	struct list_row *rows = calloc((size_t)q->n_objects + 1, sizeof(*rows));
	bool ask_stable = table_shows(t, o, "STABLE") ||
			  (sort_column && strcmp(sort_column->name, "STABLE") == 0);
	size_t n = 0;
	int code, denied;

	if (!rows || fill_rows(q, o, ask_stable, rows, &n) < 0) {
		free(rows);
		return failed("out of memory");
	}
	if (sort_column)
		qsort(rows, n, sizeof(*rows), row_compare);
	if (o->reverse)
		reverse_rows(rows, n);
	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON)
		print_json(o, t, rows, n);
	else
		print_table(o, t, rows, n);
	code = report_rows(rows, n);
	denied = query_report_denied(q);
	for (size_t i = 0; i < n; i++) {
		free(rows[i].name);
		snapshot_done(&rows[i].snapshot);
	}
	free(rows);
	/* If that process could be read its objects are all there, if perhaps not all their
	 * holders. */
	if (o->selector.pid > 0 && is_readable(q, o->selector.pid))
		denied = 0;
	return code ? code : denied;
}

int verb_list(const struct options *o)
{
	_cleanup_(query_done) struct query q = QUERY_NONE;
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
	/* Whatever is selected: its other holders count too. */
	r = query_open(&q, o, true);
	if (r != 0)
		return r;
	return list_rows(&q, o, &t);
}
