/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json/encode.h"
#include "serve/answer-inside.h"
#include "track/flows.h"
#include "util/text.h"
#include "util/util.h"

/* Of an object so many groups are told at most. */
#define OWNERS_MAX 8

/* An object, with groups whose names are long. */
#define OBJECT_BYTES 8192

static struct json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

/* Names of groups are any bytes, as those of files are. */
static struct json_object *escaped_or_null(const char *text)
{
	_cleanup_free_ char *escaped = text ? text_escape(text) : NULL;

	return text_or_null(escaped);
}

static struct json_object *json_of_owner(const struct owner *o)
{
	struct json_object *j = json_object_new_object();
	const char *reason = NULL;

	if (o->error < 0)
		reason = text_error(o->error);
	else if (!o->unit)
		reason = "the group is no unit's";
	json_object_object_add(j, "cgroup", escaped_or_null(o->cgroup));
	json_object_object_add(j, "unit", escaped_or_null(o->unit));
	json_object_object_add(j, "processes", json_number(o->processes));
	json_object_object_add(j, "reason", text_or_null(reason));
	return j;
}

static void add_owners(struct json_object *j, const struct owners *owners)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < MIN(owners->n_items, (size_t)OWNERS_MAX); i++)
		json_object_array_add(array, json_of_owner(&owners->items[i]));
	json_object_object_add(j, "owners", array);
	json_object_object_add(j, "ownerCount", json_number(owners->n_items));
}

/* Null: not known, at this level for one. */
static struct json_object *json_of_events(const struct told_object *o, enum event_kind kind)
{
	if (!o || !o->counted || !o->counted_now || !o->tells[kind])
		return NULL;
	return json_number(o->counts_now.n[kind] - o->counts.n[kind]);
}

static const char *why_no_rates(const struct listed *l, const struct told_object *before)
{
	if (l->error < 0)
		return text_error(l->error);
	return before ? NULL : "it was not seen before";
}

static struct json_object *json_of_monitored(const struct answer *a, const struct listed *l)
{
	const struct told_object *before = l->generation ? told_find(a->told, &l->identity) : NULL;
	const char *reason = why_no_rates(l, before);
	struct json_object *j = json_object_new_object(), *elapsed = NULL, *out = NULL, *in = NULL;

	if (!reason) {
		const struct generation *then = before->generation, *now = l->generation;
		struct moves moves = moves_between(&then->snapshot, &now->snapshot);

		elapsed = json_number((now->began - then->began) / 1000000);
		out = json_number(moves.out);
		in = json_number(moves.in);
	}
	json_object_object_add(j, "object", answer_listed(l));
	json_object_object_add(j, "elapsedMilliseconds", elapsed);
	json_object_object_add(j, "swappedOut", out);
	json_object_object_add(j, "swappedIn", in);
	json_object_object_add(j, "reason", text_or_null(reason));
	json_object_object_add(j, "swapOutEvents", json_of_events(before, EVENT_SWAP_OUT));
	json_object_object_add(j, "swapInEvents", json_of_events(before, EVENT_SWAP_IN));
	add_owners(j, &l->owners);
	return j;
}

struct json_object *answer_monitor(struct answer *a, struct reply_draft *draft)
{
	const struct result *r = a->result;
	const struct told *told = a->told;
	struct json_object *j = json_object_new_object(), *array = json_object_new_array();
	size_t end = MIN(a->index + answer_room(a, OBJECT_BYTES), r->n_listed);
	struct json_object *elapsed =
		told->replied ? json_number((r->began - told->replied) / 1000000) : NULL;

	for (; a->index < end; a->index++)
		json_object_array_add(array, json_of_monitored(a, &r->listed[a->index]));
	draft->goes_on = a->index < r->n_listed;
	json_object_object_add(j, "elapsedMilliseconds", elapsed);
	json_object_object_add(j, "objects", array);
	json_object_object_add(j, "complete", json_object_new_boolean(!draft->goes_on));
	json_object_object_add(j, "eventLevel",
			       json_object_new_string(events_level_to_string(told->level)));
	json_object_object_add(j, "lostEvents", json_number(told->lost));
	answer_add_denied(j, r);
	return j;
}
