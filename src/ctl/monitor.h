/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What moves, live.
 *   monitor.c       replies, tables
 *   monitor-rows.c  from objects to rows
 */

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/ctl.h"

/* A number that may be unknown. */
struct figure {
	bool known;
	uint64_t n;
};

/* An object, or what objects of a unit come to. Owns its texts. */
struct monitor_row {
	char *name;   /* of the unit or control group, NULL: none is known; or the object's id */
	char *object; /* its name; NULL: it has none, or these are several */
	char *kind;
	uint64_t objects;
	struct figure out, in;                      /* bytes a second */
	struct figure present, swap_cache, swapped; /* bytes */
};

struct monitor_rows {
	struct monitor_row *items;
	size_t n_items, n_allocated;
	bool cut; /* the service did not tell of all groups */
};

/* Adds what one reply tells. Returns 0, -EBADMSG or -ENOMEM. */
int monitor_rows_add(struct monitor_rows *rows, bool by_unit, struct json_object *reply);
/* Those where most moves come first. */
void monitor_rows_sort(struct monitor_rows *rows);
void monitor_rows_done(struct monitor_rows *rows);
