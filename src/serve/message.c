/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "serve/json-text.h"
#include "serve/message.h"
#include "util/util.h"

/* No call of ours is nested deeper than a few levels. */
#define DEPTH_MAX 16

void call_done(struct call *c)
{
	json_object_put(c->message);
	*c = (struct call){0};
}

/* One whole JSON text and nothing behind it. */
static int parse(const char *text, size_t length, struct json_object **ret)
{
	struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *j;
	int r = 0;

	if (!t)
		return -ENOMEM;
	/*
	 * No flags: the text is known to be JSON, and strict json-c 0.17 refuses numbers beyond 64
	 * bits, which are for the parameter that has them to refuse.
	 */
	/* With the NUL: a number ends only where something follows. */
	j = length < INT_MAX ? json_tokener_parse_ex(t, text, (int)length + 1) : NULL;
	if (!j || json_tokener_get_error(t) != json_tokener_success ||
	    json_tokener_get_parse_end(t) < length)
		r = -EBADMSG;
	json_tokener_free(t);
	if (r < 0)
		json_object_put(j);
	else
		*ret = j;
	return r;
}

static int take_flag(struct json_object *value, bool *ret, int *n_set)
{
	if (!json_object_is_type(value, json_type_boolean))
		return -EBADMSG;
	*ret = json_object_get_boolean(value);
	*n_set += *ret;
	return 0;
}

/* Fields of others begin with a name in reverse-domain notation. */
static bool is_vendor_field(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot && dot != name && dot[1];
}

static int take_field(struct call *c, const char *name, struct json_object *value, int *n_set)
{
	if (strcmp(name, "method") == 0) {
		if (!json_object_is_type(value, json_type_string))
			return -EBADMSG;
		c->method = json_object_get_string(value);
	} else if (strcmp(name, "parameters") == 0) {
		if (value && !json_object_is_type(value, json_type_object))
			return -EBADMSG;
		c->parameters = value;
	} else if (strcmp(name, "more") == 0) {
		return take_flag(value, &c->more, n_set);
	} else if (strcmp(name, "oneway") == 0) {
		return take_flag(value, &c->oneway, n_set);
	} else if (strcmp(name, "upgrade") == 0) {
		return take_flag(value, &c->upgrade, n_set);
	} else if (!is_vendor_field(name)) {
		return -EBADMSG;
	}
	return 0;
}

int call_parse(const char *text, size_t length, struct call *ret)
{
	struct call c = {0};
	int n_set = 0, r;

	/* json-c is not strict enough. */
	if (!json_text_is_valid(text, length, DEPTH_MAX))
		return -EBADMSG;
	r = parse(text, length, &c.message);
	if (r < 0)
		return r;
	if (!json_object_is_type(c.message, json_type_object))
		r = -EBADMSG;
	else {
		json_object_object_foreach(c.message, name, value)
		{
			r = take_field(&c, name, value, &n_set);
			if (r < 0)
				break;
		}
	}
	if (r >= 0 && (!c.method || !c.method[0] || n_set > 1))
		r = -EBADMSG;
	if (r < 0) {
		call_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

char *reply_format(const char *error, bool continues, struct json_object *parameters,
		   size_t *ret_length)
{
	struct json_object *j = json_object_new_object();
	const char *text;
	char *copy = NULL;
	size_t length;

	if (!j) {
		json_object_put(parameters);
		return NULL;
	}
	if (error)
		json_object_object_add(j, "error", json_object_new_string(error));
	if (parameters)
		json_object_object_add(j, "parameters", parameters);
	if (continues)
		json_object_object_add(j, "continues", json_object_new_boolean(true));
	text = json_object_to_json_string_length(
		j, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	if (text)
		copy = malloc(length + 1);
	if (copy) {
		memcpy(copy, text, length + 1);
		*ret_length = length + 1;
	}
	json_object_put(j);
	return copy;
}
