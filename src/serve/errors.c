/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "json/encode.h"
#include "serve/errors.h"
#include "util/stop.h"
#include "util/text.h"

#define SEVERAL_MAX 900

/* No name of ours is that long, and the shortest messages that may be set hold it, escaped. */
#define NAME_BYTES 512

struct json_object *error_with_text(const char *field, const char *text)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, field, json_object_new_string(text));
	return j;
}

struct json_object *error_with_name(const char *field, const char *name)
{
	struct json_object *j = json_object_new_object();
	size_t n = strnlen(name, NAME_BYTES);

	/* Not within a character. */
	while (name[n] && n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
		n--;
	json_object_object_add(j, field, json_object_new_string_len(name, (int)n));
	return j;
}

struct json_object *error_with_number(const char *field, uint64_t n)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, field, json_number(n));
	return j;
}

struct json_object *error_of_failure(int error)
{
	struct json_object *j = error_with_text("reason", text_error(error));

	json_object_object_add(j, "errno", json_object_new_int(-error));
	return j;
}

struct json_object *error_busy(struct busy busy)
{
	static const char *const names[] = {
		[BUSY_QUEUED_SCANS] = "queued_scans",
		[BUSY_QUEUED_SCANS_OF_OTHERS] = "queued_scans_of_others",
		[BUSY_QUEUED_SCANS_OF_USER] = "queued_scans_of_user",
		[BUSY_HELD_BYTES] = "held_bytes",
		[BUSY_HELD_BYTES_OF_OTHERS] = "held_bytes_of_others",
		[BUSY_HELD_BYTES_OF_USER] = "held_bytes_of_user",
		[BUSY_SCAN_SECONDS] = "scan_seconds",
		[BUSY_DEAD_PATHS] = "dead_paths",
	};
	struct json_object *j = error_with_text("bound", names[busy.bound]);

	json_object_object_add(j, "limit", json_number(busy.limit));
	return j;
}

void errors_not_permitted(struct result *r, enum access_rule rule)
{
	result_fail(r, ERROR_NOT_PERMITTED, error_with_text("rule", access_rule_to_string(rule)));
}

void errors_no_process(struct result *r, pid_t pid)
{
	result_fail(r, ERROR_NO_SUCH_PROCESS, error_with_number("pid", (uint64_t)pid));
}

void errors_several(struct result *r, struct object *const *objects, int n)
{
	struct json_object *j = json_object_new_object(), *ids = json_object_new_array();

	/* Enough to see what it is about, and to fit into the shortest message that can be set. */
	for (int i = 0; i < n && i < SEVERAL_MAX; i++) {
		char id[OBJECT_ID_MAX];

		json_object_array_add(ids, json_object_new_string(object_id_format(
						   &objects[i]->id, objects[i]->has_twin, id)));
	}
	json_object_object_add(j, "objects", ids);
	json_object_object_add(j, "count", json_object_new_int(n));
	result_fail(r, ERROR_SEVERAL_OBJECTS, j);
}

void errors_out_of_range(struct result *r, uint64_t pages)
{
	result_fail(r, ERROR_OUT_OF_RANGE, error_with_number("pages", pages));
}

static struct json_object *number_or_null(uint64_t n)
{
	return n ? json_number(n) : NULL;
}

void errors_generation_gone(struct result *r, uint64_t number, const struct history_bounds *bounds)
{
	struct json_object *j = error_with_number("generation", number);

	json_object_object_add(j, "oldest", number_or_null(bounds->oldest));
	json_object_object_add(j, "newest", number_or_null(bounds->newest));
	result_fail(r, ERROR_GENERATION_GONE, j);
}

void errors_too_large(struct result *r, uint64_t limit)
{
	result_fail(r, ERROR_TOO_LARGE, error_with_number("limit", limit));
}

void errors_too_busy(struct result *r, struct busy busy)
{
	result_fail(r, ERROR_TOO_BUSY, error_busy(busy));
}

void errors_no_probe(struct result *r, enum probe_choice choice, int error)
{
	struct json_object *j = error_with_text("probe", probe_choice_to_string(choice));
	/* No error: the configuration says portable, and nothing was tried. */
	const char *reason = error ? text_walker_error(error)
				   : "the service is configured to do without (Probe=portable)";

	json_object_object_add(j, "reason", json_object_new_string(reason));
	result_fail(r, ERROR_PROBE_UNAVAILABLE, j);
}

void errors_object(struct result *r, const struct object *o, int error)
{
	if (error == -EOPNOTSUPP)
		result_fail(r, ERROR_NOT_SWAPPABLE,
			    error_with_text("kind", object_kind_to_string(o->kind)));
	else if (error == -ENOENT)
		result_fail(r, ERROR_NO_SUCH_OBJECT, NULL);
	else if (error == -EAGAIN || error == -EBUSY)
		result_fail(r, ERROR_OBJECT_BUSY, error_with_text("reason", text_error(error)));
	else
		errors_fail(r, error);
}

void errors_fail(struct result *r, int error)
{
	if (error == -ETIME) {
		result_fail(r, ERROR_SCAN_TIMED_OUT,
			    error_with_number("seconds", stop_limit_seconds()));
		return;
	}
	if (error == -ECANCELED) {
		result_fail(r, ERROR_STOPPING, NULL);
		return;
	}
	if (error == -EUSERS) {
		errors_too_busy(r, (struct busy){BUSY_DEAD_PATHS, 1});
		return;
	}
	result_fail(r, ERROR_FAILED, error_of_failure(error));
}
