/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json.h"
#include "ctl/pageout.h"
#include "json/get.h"
#include "util/array.h"
#include "util/text.h"

void range_list_done(struct range_list *l)
{
	free(l->items);
	*l = (struct range_list){0};
}

int range_list_add(struct range_list *l, struct page_range range)
{
	if (ARRAY_RESERVE(&l->items, &l->n_allocated, l->n_items) < 0)
		return -ENOMEM;
	l->items[l->n_items++] = range;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct page_range *)a)->first;
	uint64_t y = ((const struct page_range *)b)->first;

	return x < y ? -1 : x > y;
}

void range_list_sort(struct range_list *l)
{
	size_t n = 0;

	if (l->n_items > 0)
		qsort(l->items, l->n_items, sizeof(*l->items), compare);
	for (size_t i = 0; i < l->n_items; i++) {
		struct page_range *last = n > 0 ? &l->items[n - 1] : NULL, r = l->items[i];

		if (last && r.first <= last->first + last->count)
			last->count =
				MAX(last->first + last->count, r.first + r.count) - last->first;
		else
			l->items[n++] = r;
	}
	l->n_items = n;
}

uint64_t range_list_pages(const struct range_list *l)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < l->n_items; i++)
		pages += l->items[i].count;
	return pages;
}

/* Numbers that are a range. */
static bool is_range(struct page_range r)
{
	return r.count > 0 && r.count <= UINT64_MAX - r.first;
}

/* FIRST,COUNT and whatever else. Cuts the line up. */
static bool parse_line(char *line, struct page_range *ret)
{
	const char *first = strsep(&line, ","), *count = strsep(&line, ",");

	return count && parse_u64(first, 10, &ret->first) >= 0 &&
	       parse_u64(count, 10, &ret->count) >= 0 && is_range(*ret);
}

static int parse_lines(const char *file, char *text, struct range_list *l)
{
	char *line, *rest = text;

	for (unsigned long number = 1; (line = strsep(&rest, "\n")); number++) {
		size_t length = strlen(line);
		_cleanup_free_ char *copy = NULL;
		struct page_range range;

		if (length > 0 && line[length - 1] == '\r')
			line[length - 1] = '\0';
		/* The header of CSV. */
		if (line[0] == '\0' || (number == 1 && strncmp(line, "first,count", 11) == 0))
			continue;
		copy = strdup(line);
		if (!copy)
			return out_of_memory();
		if (!parse_line(line, &range))
			return usage_error(
				"--ranges=%s: line %lu: \"%.60s\": expected FIRST,COUNT, "
				"in pages",
				file, number, copy);
		if (range_list_add(l, range) < 0)
			return out_of_memory();
	}
	return 0;
}

static int take_id(const char *file, const char *text, struct range_list *l)
{
	struct object_id id;

	if (object_id_parse(text, &id) < 0)
		return usage_error("--ranges=%s: object \"%s\": expected an object id", file, text);
	if (l->have_id && !object_id_match(&l->id, &id))
		return usage_error("--ranges=%s: object \"%s\": expected ranges of one object",
				   file, text);
	l->id = id;
	l->have_id = true;
	return 0;
}

/* An object as candidates prints it, or dump. */
static int take_document(const char *file, struct json_object *j, struct range_list *l)
{
	struct json_object *array;
	const char *id;

	if (!json_get(j, "ranges", json_type_array, &array) &&
	    !json_get(j, "extents", json_type_array, &array))
		return usage_error("--ranges=%s: expected a JSON object with an array \"ranges\"",
				   file);
	if (json_get_text(j, "object", &id)) {
		int r = take_id(file, id, l);

		if (r != 0)
			return r;
	}
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct page_range range;

		if (!json_get_number(item, "first", &range.first) ||
		    !json_get_number(item, "count", &range.count) || !is_range(range))
			return usage_error("--ranges=%s: range %zu: %.60s: expected an object with "
					   "\"first\" and \"count\", in pages",
					   file, i + 1, json_object_to_json_string(item));
		if (range_list_add(l, range) < 0)
			return out_of_memory();
	}
	return 0;
}

static unsigned long line_of(const char *text, const char *at)
{
	unsigned long lines = 1;

	for (; text < at; text++)
		lines += *text == '\n';
	return lines;
}

/* One document behind the other. */
static int parse_json(const char *file, const char *text, struct range_list *l)
{
	struct json_tokener *tokener = json_tokener_new();
	size_t left = strlen(text);
	const char *at = text;
	int r = tokener ? 0 : out_of_memory();

	while (r == 0 && *(at += strspn(at, " \t\r\n"))) {
		struct json_object *j;

		left = strlen(at);
		json_tokener_reset(tokener);
		j = json_tokener_parse_ex(tokener, at, (int)MIN(left + 1, (size_t)INT32_MAX));
		if (j) {
			at += json_tokener_get_parse_end(tokener);
			r = take_document(file, j, l);
			json_object_put(j);
			continue;
		}
		at += MIN(json_tokener_get_parse_end(tokener), left);
		r = usage_error("--ranges=%s: line %lu: %s: expected JSON", file, line_of(text, at),
				json_tokener_error_desc(json_tokener_get_error(tokener)));
	}
	if (tokener)
		json_tokener_free(tokener);
	return r;
}

int range_list_parse(const char *file, char *text, struct range_list *ret)
{
	struct range_list l = {0};
	char begin = text[strspn(text, " \t\r\n")];
	int r = begin == '{' || begin == '[' ? parse_json(file, text, &l)
					     : parse_lines(file, text, &l);

	if (r != 0) {
		range_list_done(&l);
		return r;
	}
	range_list_sort(&l);
	*ret = l;
	return 0;
}

int range_list_read(const char *file, struct range_list *ret)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	_cleanup_free_ char *text = NULL;
	size_t allocated = 0;
	ssize_t n;
	int error;

	if (!f)
		return failed("--ranges=%s: %s", file, strerror(errno));
	/* All of it: there is no NUL in what is text. */
	errno = 0;
	n = getdelim(&text, &allocated, '\0', f);
	error = ferror(f) ? errno : 0;
	if (f != stdin)
		fclose(f);
	if (error)
		return failed("--ranges=%s: %s", file, strerror(error));
	if (n > 0 && strlen(text) < (size_t)n)
		return usage_error("--ranges=%s: expected text, got a NUL byte", file);
	if (n < 0)
		return 0; /* empty: no pages */
	return range_list_parse(file, text, ret);
}
