/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json/get.h"
#include "lib/inside.h"
#include "util/util.h"

static const char *const state_names[SHMSTATE_STATES] = {
	"hole", "allocated", "present", "swap_cache", "swapped", "poisoned", "in_core", "unknown",
};

const char *shmstate_state_name(int state)
{
	return state >= 0 && state < SHMSTATE_STATES ? state_names[state] : NULL;
}

/* JSON has no numbers beyond; nor has an object of pages. */
static bool add_number(struct json_object *to, const char *key, uint64_t n)
{
	json_object_object_add(to, key, json_object_new_int64((int64_t)n));
	return n <= INT64_MAX;
}

static void add_string(struct json_object *to, const char *key, const char *s)
{
	if (s)
		json_object_object_add(to, key, json_object_new_string(s));
}

static bool selector_is_valid(const struct shmstate_selector *s)
{
	bool other = s->id || s->path || s->name || s->pid || s->process_fd >= 0 || s->have_address;

	if (s->fd >= 0)
		return !other;
	if (s->pid < 0 || (s->pid == 0 && (s->process_fd >= 0 || s->have_address)))
		return false;
	return other && (!s->have_address || s->address <= INT64_MAX);
}

static struct json_object *json_of_selector(const struct shmstate_selector *s)
{
	struct json_object *j = json_object_new_object();

	add_string(j, "id", s->id);
	add_string(j, "path", s->path);
	add_string(j, "name", s->name);
	if (s->pid > 0)
		add_number(j, "pid", (uint64_t)s->pid);
	if (s->process_fd >= 0)
		add_number(j, "fileDescriptor", (uint64_t)s->process_fd);
	if (s->have_address)
		add_number(j, "address", s->address);
	if (s->fd >= 0)
		add_number(j, "passedFileDescriptor", 0);
	return j;
}

static bool add_range(struct json_object *to, const struct shmstate_range *range)
{
	struct json_object *j;
	bool fits;

	if (!range)
		return true;
	j = json_object_new_object();
	fits = add_number(j, "first", range->first);
	if (range->count != SHMSTATE_TO_END)
		fits = add_number(j, "count", range->count) && fits;
	json_object_object_add(to, "range", j);
	return fits;
}

static const char *probe_name(enum shmstate_probe probe)
{
	switch (probe) {
	case SHMSTATE_PROBE_AUTO:
		return "auto";
	case SHMSTATE_PROBE_WALK:
		return "walk";
	case SHMSTATE_PROBE_PORTABLE:
		return "portable";
	case SHMSTATE_PROBE_VERIFY:
		return "verify";
	}
	return NULL;
}

/* What is asked about an object. */
struct inquiry {
	const struct shmstate_selector *selector;
	const struct shmstate_range *range;
	enum shmstate_probe probe;
	const char *encoding; /* NULL: none */
	uint64_t since;       /* 0: all of it */
};

/* *ret: the reply's parameters, to be put. */
static int ask(struct shmstate *s, const char *method, const struct inquiry *q,
	       struct json_object **ret)
{
	const struct shmstate_selector *selector = q->selector;
	struct json_object *j, *reply = NULL;
	int r = -EINVAL;

	if (!s || !selector || !selector_is_valid(selector) || !probe_name(q->probe))
		return -EINVAL;
	j = json_object_new_object();
	json_object_object_add(j, "selector", json_of_selector(selector));
	add_string(j, "probe", probe_name(q->probe));
	add_string(j, "encoding", q->encoding);
	if (s->settle > 0)
		add_number(j, "settleMilliseconds", s->settle);
	if (add_range(j, q->range) && (q->since == 0 || add_number(j, "since", q->since)))
		r = shmstate_call_json(s, method, j, &selector->fd, selector->fd >= 0, &reply);
	json_object_put(j);
	if (r >= 0)
		*ret = reply;
	return r;
}

static bool get_string(struct json_object *j, const char *key, char *buf, size_t size)
{
	const char *s;

	return json_get_text(j, key, &s) && snprintf(buf, size, "%s", s) < (int)size;
}

static bool get_counts(struct json_object *j, uint64_t counts[SHMSTATE_STATES])
{
	struct json_object *c;

	if (!json_get(j, "counts", json_type_object, &c))
		return false;
	for (int i = 0; i < SHMSTATE_STATES; i++)
		if (!json_get_number(c, state_names[i], &counts[i]))
			return false;
	return true;
}

static bool parse_summary(struct json_object *j, struct shmstate_summary *s)
{
	struct json_object *range = NULL;
	bool stable, incomplete, settled = false;

	if (!get_string(j, "object", s->object, sizeof(s->object)) ||
	    !get_string(j, "probe", s->probe, sizeof(s->probe)) ||
	    !json_get_number(j, "pageSize", &s->page_size) ||
	    !json_get_number(j, "size", &s->object_size) ||
	    !json_get(j, "range", json_type_object, &range) ||
	    !json_get_number(range, "first", &s->first) ||
	    !json_get_number(range, "count", &s->count) || !get_counts(j, s->counts) ||
	    !json_get_number(j, "movedPages", &s->moved) || !json_get_bool(j, "stable", &stable) ||
	    !json_get_bool(j, "incomplete", &incomplete))
		return false;
	s->stable = stable;
	s->incomplete = incomplete;
	/* Null if not asked for, and not kept. */
	json_get_bool(j, "settled", &settled);
	s->settled = settled;
	json_get_number(j, "generation", &s->generation);
	return true;
}

int shmstate_summarize(struct shmstate *s, const struct shmstate_selector *selector,
		       const struct shmstate_range *range, enum shmstate_probe probe,
		       struct shmstate_summary *ret)
{
	struct shmstate_summary summary = {0};
	struct json_object *j;
	bool good;
	int r;

	if (!ret)
		return -EINVAL;
	r = ask(s, "io.shmstate.Summarize",
		&(struct inquiry){.selector = selector, .range = range, .probe = probe}, &j);
	if (r < 0)
		return r;
	good = parse_summary(j, &summary);
	json_object_put(j);
	if (!good)
		return -EBADMSG;
	*ret = summary;
	return 0;
}

/* The descriptor that Classify answers with, for the caller to close, or a negative errno. */
static int classify(struct shmstate *s, const struct inquiry *q)
{
	struct json_object *j;
	uint64_t index;
	bool good;
	int fd, r;

	r = ask(s, "io.shmstate.Classify", q, &j);
	if (r < 0)
		return r;
	good = json_get_number(j, "fileDescriptor", &index) && index < WIRE_FDS;
	json_object_put(j);
	if (!good)
		return -EBADMSG;
	fd = shmstate_take_fd(s, (unsigned)index);
	return fd < 0 ? -EBADMSG : fd;
}

int shmstate_classify(struct shmstate *s, const struct shmstate_selector *selector,
		      const struct shmstate_range *range, enum shmstate_probe probe,
		      struct shmstate_map **ret)
{
	_cleanup_close_ int fd = -1;

	if (!ret)
		return -EINVAL;
	fd = classify(s, &(struct inquiry){.selector = selector,
					   .range = range,
					   .probe = probe,
					   .encoding = "file_descriptor"});
	return fd < 0 ? fd : shmstate_map_open(fd, ret);
}

int shmstate_classify_since(struct shmstate *s, const struct shmstate_selector *selector,
			    const struct shmstate_range *range, enum shmstate_probe probe,
			    uint64_t since, struct shmstate_delta **ret)
{
	_cleanup_close_ int fd = -1;

	if (!ret || since == 0)
		return -EINVAL;
	fd = classify(s, &(struct inquiry){.selector = selector,
					   .range = range,
					   .probe = probe,
					   .encoding = "file_descriptor",
					   .since = since});
	return fd < 0 ? fd : shmstate_delta_open(fd, ret);
}
