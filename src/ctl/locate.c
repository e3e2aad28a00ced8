/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json.h"
#include "ctl/source.h"
#include "ctl/summary.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"

/* What the cells of a row are made from. */
struct row {
	const struct slot_extent *extent;
	const char *device; /* escaped; NULL: not known */
};

static const struct slot_extent *extent_of(const void *row)
{
	return ((const struct row *)row)->extent;
}

static struct cell cell_first(const void *row)
{
	return cell_number(extent_of(row)->first);
}

static struct cell cell_count(const void *row)
{
	return cell_number(extent_of(row)->count);
}

static struct cell cell_type(const void *row)
{
	return cell_number(extent_of(row)->type);
}

static struct cell cell_slot(const void *row)
{
	return cell_number(extent_of(row)->offset);
}

static struct cell cell_content(const void *row)
{
	return cell_text(slot_content_to_string(extent_of(row)->content));
}

static struct cell cell_cached(const void *row)
{
	enum slot_cached cached = extent_of(row)->cached;

	return (struct cell){.type = cached == SLOT_CACHED_UNKNOWN ? CELL_NULL : CELL_BOOL,
			     .number = cached == SLOT_CACHED};
}

static struct cell cell_device(const void *row)
{
	return cell_text(((const struct row *)row)->device);
}

/* Fixed widths, as extents are printed as they come. */
static const struct column columns[] = {
	{"FIRST", "first", true, false, 12, cell_first},
	{"COUNT", "count", true, false, 12, cell_count},
	{"TYPE", "type", true, false, 4, cell_type},
	{"SLOT", "slot", true, false, 12, cell_slot},
	{"CONTENT", "content", false, false, 7, cell_content},
	{"CACHED", "cached", false, false, 6, cell_cached},
	{"DEVICE", "device", false, false, 6, cell_device},
};

/* An answer, and what is needed to print it. */
struct located {
	const struct options *options;
	struct table table;
	const struct object *object;
	struct slot_map map;
	char *devices[SLOT_TYPES]; /* their names, escaped */
};

static void located_done(struct located *l)
{
	for (unsigned k = 0; k < SLOT_TYPES; k++)
		free(l->devices[k]);
	slot_map_done(&l->map);
}

static struct row row_of(const struct located *l, size_t i)
{
	const struct slot_extent *e = &l->map.items[i];

	return (struct row){.extent = e, .device = l->devices[e->type]};
}

static void print_table(const struct located *l)
{
	if (!l->options->no_legend) {
		char size[TEXT_SIZE_MAX];

		summary_print_object(l->object);
		printf("  In swap: %s (%" PRIu64 " pages, %" PRIu64
		       " of them in the swap cache)\n\n",
		       text_size(slot_map_located(&l->map) * l->map.page_size, l->options->bytes,
				 size),
		       slot_map_located(&l->map), l->map.cached);
		table_print_header(&l->table);
	}
	for (size_t i = 0; i < l->map.n_items; i++) {
		struct row row = row_of(l, i);

		table_print_row(&l->table, &row);
	}
}

static void print_csv(const struct located *l)
{
	if (!l->options->no_legend)
		csv_print_header(&l->table);
	for (size_t i = 0; i < l->map.n_items; i++) {
		struct row row = row_of(l, i);

		csv_print_row(&l->table, &row);
	}
}

static struct json_object *json_of_swaps(const struct located *l)
{
	struct json_object *j = json_object_new_array();

	for (unsigned k = 0; k < SLOT_TYPES; k++) {
		struct json_object *swap;

		if (!l->map.swaps[k].in_use)
			continue;
		swap = json_object_new_object();
		json_object_object_add(swap, "type", json_object_new_int((int)k));
		json_object_object_add(swap, "device",
				       l->devices[k] ? json_object_new_string(l->devices[k])
						     : NULL);
		json_object_object_add(swap, "file",
				       json_object_new_boolean(l->map.swaps[k].is_file));
		json_object_array_add(j, swap);
	}
	return j;
}

static struct json_object *new_number(uint64_t n)
{
	return json_object_new_int64((int64_t)n);
}

static void print_json(const struct located *l)
{
	struct json_object *j = json_of_object(l->object), *range = json_object_new_object();
	struct json_object *contents = json_object_new_object();
	struct json_stream stream;

	json_object_object_add(j, "size", new_number(l->map.size));
	json_object_object_add(range, "first", new_number(l->map.first));
	json_object_object_add(range, "count", new_number(l->map.count));
	json_object_object_add(j, "range", range);
	for (int i = 0; i < SLOT_CONTENT_MAX; i++)
		json_object_object_add(contents, slot_content_to_string((enum slot_content)i),
				       new_number(l->map.counts[i]));
	json_object_object_add(j, "contents", contents);
	json_object_object_add(j, "cachedPages", new_number(l->map.cached));
	json_object_object_add(j, "unlocatedPages", new_number(l->map.unlocated));
	json_object_object_add(j, "swaps", json_of_swaps(l));
	json_stream_open(&stream, l->options->json, j, "extents");
	for (size_t i = 0; i < l->map.n_items; i++) {
		struct row row = row_of(l, i);

		json_stream_item(&stream, table_json_row(&l->table, l->options, &row));
	}
	json_stream_close(&stream);
}

static void print(const struct located *l)
{
	pager_open(l->options->no_pager);
	switch (l->options->format) {
	case FORMAT_TABLE:
		print_table(l);
		break;
	case FORMAT_JSON:
		print_json(l);
		break;
	case FORMAT_CSV:
		print_csv(l);
		break;
	case FORMAT_BITMAP:
	case FORMAT_RAW:
		break; /* not for locate: options_parse() refuses them */
	}
}

/* What could not be told, and why. Returns an exit code. */
static int report(const struct slot_map *map)
{
	uint64_t cached = 0, rest;
	int code = 0;

	for (size_t i = 0; i < map->n_items; i++)
		if (map->items[i].content == SLOT_UNKNOWN && map->items[i].cached == SLOT_CACHED)
			cached += map->items[i].count;
	rest = map->counts[SLOT_UNKNOWN] - cached;
	if (map->unlocated > 0)
		code = incomplete("%" PRIu64 " pages not determined: they changed each time they "
				  "were looked at",
				  map->unlocated);
	if (cached > 0)
		code = incomplete("content of %" PRIu64
				  " pages not determined: they are in the swap "
				  "cache, and perhaps not written yet",
				  cached);
	if (rest > 0)
		code = incomplete("content of %" PRIu64
				  " pages not determined: on the device or in "
				  "zswap, this kernel does not let tell which",
				  rest);
	return code;
}

int verb_locate(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	_cleanup_(located_done) struct located l = {.options = o};
	struct page_range range = ALL_PAGES;
	int r = table_init(&l.table, columns, ARRAY_SIZE(columns), o);

	if (r == 0)
		r = options_page_range(o, &range);
	if (r == 0)
		r = source_open(o, &s);
	if (r == 0)
		r = source_locate(s, range, &l.object, &l.map);
	if (r != 0)
		return r;
	for (unsigned k = 0; k < SLOT_TYPES; k++)
		if (l.map.swaps[k].path)
			l.devices[k] = text_escape(l.map.swaps[k].path);
	print(&l);
	return report(&l.map);
}
