/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rows of cells, printed as an aligned table, as CSV or as JSON objects. A verb describes its
 * columns once; -o picks among them in every format.
 */

#include <json-c/json.h>
#include <stddef.h>

#include "ctl/ctl.h"

enum cell_type {
	CELL_NULL, /* could not be had: "-" or null */
	CELL_TEXT,
	CELL_NUMBER,
	CELL_BYTES,   /* a table shows 1.5K unless --bytes */
	CELL_ADDRESS, /* a table and CSV show hexadecimal */
	CELL_BOOL,
};

struct cell {
	enum cell_type type;
	const char *text; /* borrowed until the next cell is asked for */
	uint64_t number;
};

static inline struct cell cell_text(const char *text)
{
	return (struct cell){.type = text ? CELL_TEXT : CELL_NULL, .text = text};
}

static inline struct cell cell_number(uint64_t number)
{
	return (struct cell){.type = CELL_NUMBER, .number = number};
}

static inline struct cell cell_bytes(uint64_t number)
{
	return (struct cell){.type = CELL_BYTES, .number = number};
}

struct column {
	const char *name; /* header of the table, and what -o takes (in any case) */
	const char *key;  /* JSON, and header of CSV */
	bool right;       /* aligned to the right */
	bool extra;       /* shown only when asked for by -o, and in JSON */
	int width;        /* 0: as wide as its widest cell; else fixed */
	struct cell (*cell)(const void *row);
};

#define TABLE_COLUMNS_MAX 24

struct table {
	const struct column *columns;
	size_t n_columns;
	size_t chosen[TABLE_COLUMNS_MAX];
	size_t n_chosen;
	int widths[TABLE_COLUMNS_MAX];
	bool bytes;
	bool colour;
};

/* Chooses by -o. Returns 0, or an exit code after a message. */
int table_init(struct table *t, const struct column *columns, size_t n, const struct options *o);

/* The column of this name, or NULL after a message that names option. */
const struct column *table_find_column(const struct column *columns, size_t n, const char *option,
				       const char *name, size_t len);

/* True if this column is part of the output. */
bool table_shows(const struct table *t, const struct options *o, const char *name);

/* Widths have to be known before the first line: call it for each row first, unless all are fixed.
 */
void table_measure(struct table *t, const void *row);
void table_print_header(const struct table *t);
void table_print_row(const struct table *t, const void *row);

void csv_print_header(const struct table *t);
void csv_print_row(const struct table *t, const void *row);

/* A new JSON object with the chosen columns (all, if there was no -o). */
struct json_object *table_json_row(const struct table *t, const struct options *o, const void *row);
