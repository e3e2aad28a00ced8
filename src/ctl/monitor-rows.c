/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/monitor.h"
#include "json/get.h"
#include "util/array.h"
#include "util/util.h"

static void row_done(struct monitor_row *row)
{
	free(row->name);
	free(row->object);
	free(row->kind);
}

void monitor_rows_done(struct monitor_rows *rows)
{
	for (size_t i = 0; i < rows->n_items; i++)
		row_done(&rows->items[i]);
	free(rows->items);
	*rows = (struct monitor_rows){0};
}

static int copy_text(struct json_object *j, const char *key, char **ret)
{
	const char *text;

	if (!json_get_text(j, key, &text))
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

/* Pages a second, in bytes. */
static struct figure rate_of(struct json_object *j, const char *key, uint64_t page_size)
{
	uint64_t pages, ms;

	if (!json_get_number(j, key, &pages) || !json_get_number(j, "elapsedMilliseconds", &ms) ||
	    ms == 0)
		return (struct figure){0};
	return (struct figure){true,
			       (uint64_t)((double)pages * (double)page_size * 1000 / (double)ms)};
}

static struct figure pages_of(struct json_object *object, const char *state, uint64_t page_size)
{
	struct json_object *summary, *counts;
	uint64_t n;

	if (!json_get(object, "summary", json_type_object, &summary) ||
	    !json_get(summary, "counts", json_type_object, &counts) ||
	    !json_get_number(counts, state, &n))
		return (struct figure){0};
	return (struct figure){true, n * page_size};
}

/* All but the name. */
static int read_row(struct json_object *j, struct json_object *object, struct monitor_row *row)
{
	uint64_t page_size;
	int r;

	if (!json_get_number(object, "pageSize", &page_size))
		return -EBADMSG;
	row->objects = 1;
	row->out = rate_of(j, "swappedOut", page_size);
	row->in = rate_of(j, "swappedIn", page_size);
	row->present = pages_of(object, "present", page_size);
	row->swap_cache = pages_of(object, "swap_cache", page_size);
	row->swapped = pages_of(object, "swapped", page_size);
	r = copy_text(object, "name", &row->object);
	return r < 0 ? r : copy_text(object, "kind", &row->kind);
}

/* Takes the row over. */
static int append(struct monitor_rows *rows, struct monitor_row *row)
{
	if (ARRAY_RESERVE(&rows->items, &rows->n_allocated, rows->n_items) < 0) {
		row_done(row);
		return -ENOMEM;
	}
	rows->items[rows->n_items++] = *row;
	return 0;
}

/* What is not known of one is not known of all. */
static void add_figure(struct figure *to, struct figure f)
{
	to->known &= f.known;
	to->n += f.n;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* An object that several units have counts for each. */
static int add_to_unit(struct monitor_rows *rows, const char *name, const struct monitor_row *row)
{
	struct monitor_row new = *row;
	struct monitor_row *to = NULL;

	for (size_t i = 0; i < rows->n_items && !to; i++)
		if (is_same(rows->items[i].name, name))
			to = &rows->items[i];
	if (to) {
		to->objects++;
		add_figure(&to->out, row->out);
		add_figure(&to->in, row->in);
		add_figure(&to->present, row->present);
		add_figure(&to->swap_cache, row->swap_cache);
		add_figure(&to->swapped, row->swapped);
		return 0;
	}
	new.object = new.kind = NULL;
	new.name = name ? strdup(name) : NULL;
	return name && !new.name ? -ENOMEM : append(rows, &new);
}

/* The unit says more than the group, and several groups may be of one unit. */
static const char *name_of(struct json_object *owner)
{
	const char *name = NULL;

	if (!json_get_text(owner, "unit", &name))
		json_get_text(owner, "cgroup", &name);
	return name;
}

static bool is_named_before(struct json_object *owners, size_t i, const char *name)
{
	for (size_t k = 0; k < i; k++)
		if (is_same(name_of(json_object_array_get_idx(owners, k)), name))
			return true;
	return false;
}

static int add_to_units(struct monitor_rows *rows, struct json_object *j,
			const struct monitor_row *row)
{
	struct json_object *owners;
	uint64_t n;
	int r = 0;

	if (!json_get(j, "owners", json_type_array, &owners) ||
	    !json_get_number(j, "ownerCount", &n))
		return -EBADMSG;
	rows->cut |= n > json_object_array_length(owners);
	if (n == 0)
		return add_to_unit(rows, NULL, row);
	for (size_t i = 0; i < json_object_array_length(owners) && r >= 0; i++) {
		const char *name = name_of(json_object_array_get_idx(owners, i));

		if (!is_named_before(owners, i, name))
			r = add_to_unit(rows, name, row);
	}
	return r;
}

static int add(struct monitor_rows *rows, bool by_unit, struct json_object *j)
{
	struct monitor_row row = {0};
	struct json_object *object;
	int r;

	if (!json_get(j, "object", json_type_object, &object))
		return -EBADMSG;
	r = read_row(j, object, &row);
	if (r >= 0 && by_unit)
		r = add_to_units(rows, j, &row);
	else if (r >= 0)
		r = copy_text(object, "object", &row.name);
	if (r >= 0 && !by_unit)
		return append(rows, &row);
	row_done(&row);
	return r;
}

int monitor_rows_add(struct monitor_rows *rows, bool by_unit, struct json_object *reply)
{
	struct json_object *objects;
	int r = 0;

	if (!json_get(reply, "objects", json_type_array, &objects))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(objects) && r >= 0; i++)
		r = add(rows, by_unit, json_object_array_get_idx(objects, i));
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct monitor_row *x = a, *y = b;
	uint64_t p = x->out.n + x->in.n, q = y->out.n + y->in.n;

	if (p == q) {
		p = x->swapped.n;
		q = y->swapped.n;
	}
	if (p != q)
		return p < q ? 1 : -1;
	return strcmp(x->name ? x->name : "", y->name ? y->name : "");
}

void monitor_rows_sort(struct monitor_rows *rows)
{
	if (rows->n_items > 0)
		qsort(rows->items, rows->n_items, sizeof(*rows->items), compare);
}
