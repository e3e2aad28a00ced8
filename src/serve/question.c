/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "serve/question.h"
#include "util/text.h"
#include "util/util.h"
#include "view/process_view.h"

/* Longer than anybody's guest may stand still. */
#define SETTLE_MILLISECONDS_MAX 60000

/* Clients give up after 45 s without a word. */
#define HEARTBEAT_SECONDS 30
#define HEARTBEAT_SECONDS_MAX 44
#define BATCHES_MAX 1000
#define AGE_SECONDS_MAX 3600
#define INTERVAL_MILLISECONDS 1000
#define INTERVAL_MILLISECONDS_MIN 100
#define INTERVAL_MILLISECONDS_MAX 40000

void question_done(struct question *q)
{
	free(q->path);
	free(q->name);
	free(q->interface);
	object_free(q->was);
	closep(&q->fd);
	*q = (struct question){.fd = -1};
}

/*
 * A field of a structure. take() returns 0, -ENOMEM, or -EINVAL with the name of a field further
 * inside in *bad if it is not this one.
 */
struct field {
	const char *name;
	int (*take)(struct question *q, struct json_object *value, const char **bad);
	bool required;
};

static int take_fields(struct question *q, struct json_object *j, const struct field *fields,
		       size_t n, const char **bad)
{
	if (j) {
		json_object_object_foreach(j, name, value)
		{
			size_t i = 0;
			int r = -EINVAL;

			while (i < n && strcmp(fields[i].name, name) != 0)
				i++;
			*bad = name;
			if (i < n)
				r = value || fields[i].required ? fields[i].take(q, value, bad) : 0;
			if (r < 0)
				return r;
		}
	}
	for (size_t i = 0; i < n; i++) {
		*bad = fields[i].name;
		if (fields[i].required && !(j && json_object_object_get_ex(j, *bad, NULL)))
			return -EINVAL;
	}
	return 0;
}

/* No number here is negative, and none is larger than max. */
static int take_number(struct json_object *value, uint64_t max, uint64_t *ret)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
	    json_object_get_uint64(value) > MIN(max, (uint64_t)INT64_MAX))
		return -EINVAL;
	*ret = json_object_get_uint64(value);
	return 0;
}

static int take_int(struct json_object *value, int min, int *ret)
{
	uint64_t n;

	if (take_number(value, INT_MAX, &n) < 0 || (int)n < min)
		return -EINVAL;
	*ret = (int)n;
	return 0;
}

static int take_flag(struct json_object *value, bool *ret)
{
	if (!json_object_is_type(value, json_type_boolean))
		return -EINVAL;
	*ret = json_object_get_boolean(value);
	return 0;
}

/* A string without a NUL inside, or NULL. */
static const char *text_of(struct json_object *value)
{
	const char *s;

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	s = json_object_get_string(value);
	return strlen(s) == (size_t)json_object_get_string_len(value) ? s : NULL;
}

static int take_id(struct question *q, struct json_object *value, const char **bad)
{
	const char *s = text_of(value);

	(void)bad;
	q->selector.have_id = true;
	return s && object_id_parse(s, &q->selector.id) == 0 ? 0 : -EINVAL;
}

static int take_pid(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_int(value, 1, &q->selector.pid);
}

static int take_descriptor(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	q->selector.have_fd = true;
	return take_int(value, 0, &q->selector.fd);
}

static int take_address(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	q->selector.have_address = true;
	return take_number(value, UINT64_MAX, &q->selector.address);
}

static int take_path(struct question *q, struct json_object *value, const char **bad)
{
	const char *s = text_of(value);

	(void)bad;
	if (!s || s[0] != '/' || q->path)
		return -EINVAL;
	q->path = strdup(s);
	q->selector.path = q->path;
	return q->path ? 0 : -ENOMEM;
}

static int take_name(struct question *q, struct json_object *value, const char **bad)
{
	const char *s = text_of(value);

	(void)bad;
	if (!s || q->name)
		return -EINVAL;
	q->name = malloc(strlen(s) + 1);
	q->selector.name = q->name;
	return q->name ? text_unescape_strictly(s, q->name) : -ENOMEM;
}

static int take_passed(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	q->have_passed = true;
	return take_int(value, 0, &q->passed);
}

static const struct field selector_fields[] = {
	{"id", take_id, false},
	{"pid", take_pid, false},
	{"fileDescriptor", take_descriptor, false},
	{"address", take_address, false},
	{"path", take_path, false},
	{"name", take_name, false},
	{"passedFileDescriptor", take_passed, false},
};

static bool is_of_many(enum method method)
{
	return method == METHOD_LIST_OBJECTS || method == METHOD_MONITOR;
}

static int take_selector(struct question *q, struct json_object *value, const char **bad)
{
	const struct selector *s = &q->selector;
	const char *whole = *bad;
	int r;

	if (!json_object_is_type(value, json_type_object))
		return -EINVAL;
	r = take_fields(q, value, selector_fields, ARRAY_SIZE(selector_fields), bad);
	if (r < 0)
		return r;
	if ((s->have_fd || s->have_address) && s->pid == 0) {
		*bad = "pid";
		return -EINVAL;
	}
	*bad = "passedFileDescriptor";
	if (q->have_passed && !selector_is_empty(s))
		return -EINVAL;
	*bad = whole;
	return q->have_passed || !selector_is_empty(s) || is_of_many(q->method) ? 0 : -EINVAL;
}

static int take_first(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_number(value, UINT64_MAX, &q->range.first);
}

static int take_count(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_number(value, UINT64_MAX, &q->range.count);
}

static const struct field range_fields[] = {
	{"first", take_first, true},
	{"count", take_count, false},
};

static int take_range(struct question *q, struct json_object *value, const char **bad)
{
	if (!json_object_is_type(value, json_type_object))
		return -EINVAL;
	q->have_range = true;
	return take_fields(q, value, range_fields, ARRAY_SIZE(range_fields), bad);
}

static int state_from_string(enum method method, const char *s)
{
	int state = page_state_from_string(s);

	if (method == METHOD_GET_PAGEMAP)
		for (int i = PAGE_STATE_MAX; state < 0 && i < VIEW_STATE_MAX; i++)
			if (strcmp(s, view_state_to_string(i)) == 0)
				state = i;
	return state;
}

static int take_states(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) == 0)
		return -EINVAL;
	q->states = 0;
	for (size_t i = 0; i < json_object_array_length(value); i++) {
		const char *s = text_of(json_object_array_get_idx(value, i));
		int state = s ? state_from_string(q->method, s) : -EINVAL;

		if (state < 0)
			return -EINVAL;
		q->states |= UINT32_C(1) << state;
	}
	return 0;
}

static int take_kinds(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) == 0)
		return -EINVAL;
	for (size_t i = 0; i < json_object_array_length(value); i++) {
		const char *s = text_of(json_object_array_get_idx(value, i));
		int kind = s ? object_kind_from_string(s) : -EINVAL;

		if (kind < 0)
			return -EINVAL;
		q->kinds |= UINT32_C(1) << kind;
	}
	return 0;
}

static int take_encoding(struct question *q, struct json_object *value, const char **bad)
{
	static const char *const names[] = {
		[ENCODING_EXTENTS] = "extents",
		[ENCODING_BITMAP] = "bitmap",
		[ENCODING_FILE_DESCRIPTOR] = "file_descriptor",
	};
	const char *s = text_of(value);

	(void)bad;
	for (size_t i = 0; s && i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], s) == 0 &&
		    !(q->method == METHOD_GET_PAGEMAP && i == ENCODING_BITMAP)) {
			q->encoding = (enum encoding)i;
			return 0;
		}
	return -EINVAL;
}

static int take_probe(struct question *q, struct json_object *value, const char **bad)
{
	const char *s = text_of(value);
	int choice = s ? probe_choice_from_string(s) : -EINVAL;

	(void)bad;
	if (choice < 0)
		return -EINVAL;
	q->probe = (enum probe_choice)choice;
	return 0;
}

static int take_since(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_number(value, INT64_MAX, &q->since) < 0 || q->since == 0 ? -EINVAL : 0;
}

static int take_within(struct json_object *value, uint64_t min, uint64_t max, unsigned *ret)
{
	uint64_t n;

	if (take_number(value, max, &n) < 0 || n < min)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

static int take_settle(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_within(value, 0, SETTLE_MILLISECONDS_MAX, &q->settle);
}

static int take_batches(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_within(value, 1, BATCHES_MAX, &q->batches);
}

static int take_heartbeat(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_within(value, 1, HEARTBEAT_SECONDS_MAX, &q->heartbeat);
}

static int take_interval(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_within(value, INTERVAL_MILLISECONDS_MIN, INTERVAL_MILLISECONDS_MAX,
			   &q->interval);
}

static int take_summarize(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_flag(value, &q->summarize);
}

static int take_stability(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_flag(value, &q->stability);
}

static int take_age(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_within(value, 0, AGE_SECONDS_MAX, &q->age);
}

static int take_max(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_number(value, INT64_MAX, &q->max_pages);
}

static int take_unproven(struct question *q, struct json_object *value, const char **bad)
{
	(void)bad;
	return take_flag(value, &q->unproven);
}

static int take_interface(struct question *q, struct json_object *value, const char **bad)
{
	const char *s = text_of(value);

	(void)bad;
	if (!s)
		return -EINVAL;
	q->interface = strdup(s);
	return q->interface ? 0 : -ENOMEM;
}

#define FIELDS_MAX 7

static const struct field parameters_of[METHOD_MAX][FIELDS_MAX] = {
	[METHOD_LIST_OBJECTS] = {{"selector", take_selector, false},
				 {"kinds", take_kinds, false},
				 {"summarize", take_summarize, false},
				 {"stability", take_stability, false},
				 {"probe", take_probe, false}},
	[METHOD_GET_OBJECT] = {{"selector", take_selector, true}, {"probe", take_probe, false}},
	[METHOD_SUMMARIZE] = {{"selector", take_selector, true},
			      {"range", take_range, false},
			      {"probe", take_probe, false},
			      {"settleMilliseconds", take_settle, false}},
	[METHOD_CLASSIFY] = {{"selector", take_selector, true},
			     {"range", take_range, false},
			     {"states", take_states, false},
			     {"encoding", take_encoding, false},
			     {"probe", take_probe, false},
			     {"since", take_since, false},
			     {"settleMilliseconds", take_settle, false}},
	[METHOD_LOCATE] = {{"selector", take_selector, true}, {"range", take_range, false}},
	[METHOD_FIND_CANDIDATES] = {{"selector", take_selector, true},
				    {"ageSeconds", take_age, true},
				    {"maxPages", take_max, false},
				    {"range", take_range, false},
				    {"unproven", take_unproven, false},
				    {"probe", take_probe, false}},
	[METHOD_GET_REFAULTS] = {{"selector", take_selector, true},
				 {"range", take_range, false},
				 {"probe", take_probe, false}},
	[METHOD_SUBSCRIBE] = {{"selector", take_selector, true},
			      {"range", take_range, false},
			      {"states", take_states, false},
			      {"probe", take_probe, false},
			      {"batchesPerSecond", take_batches, false},
			      {"heartbeatSeconds", take_heartbeat, false}},
	[METHOD_MONITOR] = {{"selector", take_selector, false},
			    {"probe", take_probe, false},
			    {"intervalMilliseconds", take_interval, false}},
	[METHOD_GET_PAGEMAP] = {{"pid", take_pid, true},
				{"range", take_range, false},
				{"states", take_states, false},
				{"encoding", take_encoding, false},
				{"probe", take_probe, false}},
	[METHOD_GET_INTERFACE_DESCRIPTION] = {{"interface", take_interface, true}},
};

int question_parse(enum method method, struct json_object *parameters, struct question *ret,
		   char **ret_bad)
{
	struct question q = {
		.method = method,
		.fd = -1,
		.range = {.first = 0, .count = UINT64_MAX},
		.states = UINT32_MAX,
		.max_pages = UINT64_MAX,
		.heartbeat = HEARTBEAT_SECONDS,
		.interval = INTERVAL_MILLISECONDS,
		.summarize = method == METHOD_MONITOR,
	};
	const struct field *fields = parameters_of[method];
	const char *bad = NULL;
	char *copy;
	size_t n = 0;
	int r;

	while (n < FIELDS_MAX && fields[n].name)
		n++;
	r = take_fields(&q, parameters, fields, n, &bad);
	/* A bitmap says yes or no to some states: to all of them it says nothing. */
	if (r == 0 && q.encoding == ENCODING_BITMAP && q.states == UINT32_MAX) {
		bad = "states";
		r = -EINVAL;
	}
	/* Nor does one bit say what has become what. */
	if (r == 0 && q.encoding == ENCODING_BITMAP && q.since) {
		bad = "encoding";
		r = -EINVAL;
	}
	if (r == 0 && is_of_many(method) && q.have_passed) {
		bad = "passedFileDescriptor";
		r = -EINVAL;
	}
	if (r == 0) {
		*ret = q;
		return 0;
	}
	question_done(&q);
	copy = r == -EINVAL ? strdup(bad) : NULL;
	if (!copy)
		return -ENOMEM;
	*ret_bad = copy;
	return r;
}
