/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fields of JSON objects that somebody else wrote. Each returns false if the field is absent, null
 * or of another type, and then leaves *ret as it was; what is no object has no fields.
 */

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

static inline bool json_get(struct json_object *j, const char *key, enum json_type type,
			    struct json_object **ret)
{
	struct json_object *field;

	if (!json_object_is_type(j, json_type_object) ||
	    !json_object_object_get_ex(j, key, &field) || !json_object_is_type(field, type))
		return false;
	*ret = field;
	return true;
}

/* 0 or more. */
static inline bool json_get_number(struct json_object *j, const char *key, uint64_t *ret)
{
	struct json_object *field;

	if (!json_get(j, key, json_type_int, &field) || json_object_get_int64(field) < 0)
		return false;
	*ret = (uint64_t)json_object_get_int64(field);
	return true;
}

static inline bool json_get_bool(struct json_object *j, const char *key, bool *ret)
{
	struct json_object *field;

	if (!json_get(j, key, json_type_boolean, &field))
		return false;
	*ret = json_object_get_boolean(field);
	return true;
}

/* Borrowed from j. */
static inline bool json_get_text(struct json_object *j, const char *key, const char **ret)
{
	struct json_object *field;

	if (!json_get(j, key, json_type_string, &field))
		return false;
	*ret = json_object_get_string(field);
	return true;
}
