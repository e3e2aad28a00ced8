/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Printing of JSON. What objects and snapshots look like there: json/encode.h. */

#include <json-c/json.h>

#include "ctl/ctl.h"
#include "json/encode.h"

/*
 * An array that may be too long to be held in memory is streamed: json_stream_open() prints the
 * object up to the start of its last field, an array; then one call an item; then
 * json_stream_close().
 */
struct json_stream {
	int flags; /* json_object_to_json_string_ext */
	bool any;
};

void json_stream_open(struct json_stream *s, enum json_mode mode, struct json_object *object,
		      const char *array_key);
/* Prints the item and drops it. */
void json_stream_item(struct json_stream *s, struct json_object *item);
void json_stream_close(struct json_stream *s);

/* Whether it settled, if that was asked for. */
void json_add_settled(struct json_object *to, const struct snapshot *s, const struct options *o);

void json_print(enum json_mode mode, struct json_object *object);
