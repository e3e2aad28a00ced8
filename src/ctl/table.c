/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"

#define CELL_TEXT_MAX 32

const struct column *table_find_column(const struct column *columns, size_t n, const char *option,
				       const char *name, size_t len)
{
	char all[512] = "";

	for (size_t i = 0; i < n; i++)
		if (strlen(columns[i].name) == len && strncasecmp(columns[i].name, name, len) == 0)
			return &columns[i];
	for (size_t i = 0; i < n; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "",
			 columns[i].name);
	usage_error("--%s: \"%.*s\" is no column; expected %s", option, (int)len, name, all);
	return NULL;
}

static int choose_by_names(struct table *t, const char *names)
{
	for (;;) {
		size_t len = strcspn(names, ",");
		const struct column *c =
			table_find_column(t->columns, t->n_columns, "output", names, len);

		if (!c)
			return EXIT_USAGE;
		if (t->n_chosen == TABLE_COLUMNS_MAX)
			return usage_error("--output: more than %d columns", TABLE_COLUMNS_MAX);
		t->chosen[t->n_chosen++] = (size_t)(c - t->columns);
		if (names[len] == '\0')
			return 0;
		names += len + 1;
	}
}

int table_init(struct table *t, const struct column *columns, size_t n, const struct options *o)
{
	int r = 0;

	*t = (struct table){.columns = columns, .n_columns = n, .bytes = o->bytes};
	t->colour = terminal_has_colour();
	if (o->columns)
		r = choose_by_names(t, o->columns);
	else
		for (size_t i = 0; i < n; i++)
			if (!columns[i].extra || o->format == FORMAT_JSON)
				t->chosen[t->n_chosen++] = i;
	for (size_t i = 0; i < t->n_chosen; i++)
		t->widths[i] = MAX(columns[t->chosen[i]].width,
				   o->no_legend ? 0 : (int)strlen(columns[t->chosen[i]].name));
	return r;
}

bool table_shows(const struct table *t, const struct options *o, const char *name)
{
	if (o->format == FORMAT_JSON && !o->columns)
		return true;
	for (size_t i = 0; i < t->n_chosen; i++)
		if (strcmp(t->columns[t->chosen[i]].name, name) == 0)
			return true;
	return false;
}

/* What stands in the table; buf has CELL_TEXT_MAX bytes and is used for numbers. */
static const char *cell_format(const struct table *t, const struct cell *cell, char *buf)
{
	switch (cell->type) {
	case CELL_NULL:
		return "-";
	case CELL_TEXT:
		return cell->text;
	case CELL_NUMBER:
		snprintf(buf, CELL_TEXT_MAX, "%" PRIu64, cell->number);
		return buf;
	case CELL_BYTES:
		return text_size(cell->number, t->bytes, buf);
	case CELL_ADDRESS:
		snprintf(buf, CELL_TEXT_MAX, "%" PRIx64, cell->number);
		return buf;
	case CELL_BOOL:
		return cell->number ? "yes" : "no";
	}
	return "-";
}

void table_measure(struct table *t, const void *row)
{
	for (size_t i = 0; i < t->n_chosen; i++) {
		const struct column *c = &t->columns[t->chosen[i]];
		char buf[CELL_TEXT_MAX];
		struct cell cell;

		if (c->width > 0)
			continue;
		cell = c->cell(row);
		t->widths[i] = MAX(t->widths[i], (int)strlen(cell_format(t, &cell, buf)));
	}
}

static void print_padded(const struct table *t, size_t i, const char *text)
{
	bool last = i + 1 == t->n_chosen;

	if (t->columns[t->chosen[i]].right)
		printf("%*s", t->widths[i], text);
	else
		printf("%-*s", last ? 0 : t->widths[i], text);
	putchar(last ? '\n' : ' ');
}

void table_print_header(const struct table *t)
{
	if (t->colour)
		printf(TERMINAL_BOLD);
	for (size_t i = 0; i < t->n_chosen; i++) {
		const struct column *c = &t->columns[t->chosen[i]];

		if (t->colour && i + 1 == t->n_chosen) {
			printf("%*s" TERMINAL_NORMAL "\n", c->right ? t->widths[i] : 0, c->name);
			continue;
		}
		print_padded(t, i, t->columns[t->chosen[i]].name);
	}
}

void table_print_row(const struct table *t, const void *row)
{
	for (size_t i = 0; i < t->n_chosen; i++) {
		struct cell cell = t->columns[t->chosen[i]].cell(row);
		char buf[CELL_TEXT_MAX];

		print_padded(t, i, cell_format(t, &cell, buf));
	}
}

void csv_print_header(const struct table *t)
{
	for (size_t i = 0; i < t->n_chosen; i++)
		printf("%s%s", i ? "," : "", t->columns[t->chosen[i]].key);
	putchar('\n');
}

/* RFC 4180, with what could not be had left empty. */
static void csv_print_text(const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

void csv_print_row(const struct table *t, const void *row)
{
	for (size_t i = 0; i < t->n_chosen; i++) {
		struct cell cell = t->columns[t->chosen[i]].cell(row);
		char buf[CELL_TEXT_MAX];

		if (i > 0)
			putchar(',');
		if (cell.type == CELL_BYTES)
			cell.type = CELL_NUMBER;
		if (cell.type != CELL_NULL)
			csv_print_text(cell_format(t, &cell, buf));
	}
	putchar('\n');
}

static struct json_object *cell_to_json(const struct cell *cell)
{
	switch (cell->type) {
	case CELL_NULL:
		return NULL;
	case CELL_TEXT:
		return json_object_new_string(cell->text);
	case CELL_NUMBER:
	case CELL_BYTES:
	case CELL_ADDRESS:
		return json_object_new_int64((int64_t)cell->number);
	case CELL_BOOL:
		return json_object_new_boolean((json_bool)cell->number);
	}
	return NULL;
}

struct json_object *table_json_row(const struct table *t, const struct options *o, const void *row)
{
	struct json_object *object = json_object_new_object();
	size_t n = o->columns ? t->n_chosen : t->n_columns;

	for (size_t i = 0; i < n; i++) {
		const struct column *c = &t->columns[o->columns ? t->chosen[i] : i];
		struct cell cell = c->cell(row);

		json_object_object_add(object, c->key, cell_to_json(&cell));
	}
	return object;
}
