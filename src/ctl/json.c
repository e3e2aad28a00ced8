/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/json.h"

static int flags_of(enum json_mode mode)
{
	return JSON_C_TO_STRING_NOSLASHESCAPE |
	       (mode == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY : JSON_C_TO_STRING_PLAIN);
}

void json_stream_open(struct json_stream *s, enum json_mode mode, struct json_object *object,
		      const char *array_key)
{
	const char *text;

	s->flags = flags_of(mode);
	s->any = false;
	/* With an empty array as the last field, the text ends in "[" + something + "]}". */
	json_object_object_add(object, array_key, json_object_new_array());
	text = json_object_to_json_string_ext(object, s->flags);
	fwrite(text, 1, (size_t)(strrchr(text, '[') + 1 - text), stdout);
	json_object_put(object);
}

void json_stream_item(struct json_stream *s, struct json_object *item)
{
	bool pretty = s->flags & JSON_C_TO_STRING_PRETTY;

	if (s->any)
		putchar(',');
	if (pretty)
		fputs("\n    ", stdout);
	/* One item a line reads better than a field a line. */
	fputs(json_object_to_json_string_ext(item, s->flags & ~JSON_C_TO_STRING_PRETTY), stdout);
	json_object_put(item);
	s->any = true;
}

void json_stream_close(struct json_stream *s)
{
	fputs(s->flags & JSON_C_TO_STRING_PRETTY ? "\n  ]\n}\n" : "]}\n", stdout);
}

void json_add_settled(struct json_object *to, const struct snapshot *s, const struct options *o)
{
	if (o->settle > 0)
		json_object_object_add(to, "settled", json_object_new_boolean(s->settled));
}

void json_print(enum json_mode mode, struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, flags_of(mode)));
	json_object_put(object);
}
