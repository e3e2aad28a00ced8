/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json/encode.h"
#include "model/delta.h"
#include "serve/answer-inside.h"
#include "serve/standing.h"
#include "util/util.h"

static const char *event_to_string(enum told_event event)
{
	static const char *const names[] = {
		[TOLD_STATE] = "state",
		[TOLD_READY] = "ready",
		[TOLD_CHANGES] = "changes",
		[TOLD_HEARTBEAT] = "heartbeat",
	};

	return names[event];
}

/* What each reply says. */
struct tidings {
	enum told_event event;
	const struct snapshot *snapshot; /* that is told of */
	uint64_t generation;             /* its number; 0: none */
	uint64_t since;                  /* 0: that is all of it */
	enum events_level level;
	uint64_t lost;
	uint64_t took; /* the look, ns */
	uint64_t age;  /* of the look, ns */
};

static struct json_object *number_or_null(uint64_t n)
{
	return n ? json_number(n) : NULL;
}

static struct json_object *json_of_tidings(const struct tidings *t, const char *object)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "event", json_object_new_string(event_to_string(t->event)));
	json_object_object_add(j, "object", json_object_new_string(object));
	json_object_object_add(j, "pageSize", json_number(t->snapshot->page_size));
	json_object_object_add(j, "size", json_number(t->snapshot->size));
	json_object_object_add(j, "generation", number_or_null(t->generation));
	json_object_object_add(j, "since", number_or_null(t->since));
	json_object_object_add(j, "eventLevel",
			       json_object_new_string(events_level_to_string(t->level)));
	json_object_object_add(j, "lostEvents", json_number(t->lost));
	json_object_object_add(j, "lookIntervalMilliseconds",
			       json_number(standing_interval(t->took, TOLD_INTERVAL) / 1000000));
	json_object_object_add(j, "lookAgeMilliseconds", json_number(t->age / 1000000));
	return j;
}

static void add_pages(struct json_object *j, struct json_object *summary, struct json_object *first,
		      struct json_object *next)
{
	json_object_object_add(j, "summary", summary);
	json_object_object_add(j, "first", first);
	json_object_object_add(j, "next", next);
}

struct reply *answer_notice(const struct told *told, enum told_event event, uint64_t now,
			    size_t limit)
{
	const struct generation *g = told->generation;
	struct tidings t = {
		.event = event,
		.snapshot = &g->snapshot,
		.generation = g->number,
		.level = told->level,
		.lost = told->lost,
		.took = told->took,
		.age = now - told->looked,
	};
	struct json_object *j = json_of_tidings(&t, told->object);

	add_pages(j, NULL, NULL, NULL);
	json_object_object_add(j, "extents", NULL);
	json_object_object_add(j, "changes", NULL);
	return answer_reply_of_many(j, limit);
}

static bool has_changed(const struct answer *a)
{
	const struct snapshot *old = &a->since->snapshot, *new = &a->result->snapshot;
	struct delta d = delta_seek(old, new, new->first);
	struct change c;

	while (delta_next(&d, &c))
		if (change_concerns(&c, a->question->states))
			return true;
	return old->size != new->size;
}

bool answer_is_silent(const struct answer *a)
{
	return a->told && !a->result->error && a->question->method == METHOD_SUBSCRIBE &&
	       a->since && !has_changed(a);
}

struct json_object *answer_subscription(struct answer *a, struct reply_draft *draft)
{
	const struct result *r = a->result;
	struct json_object *summary = json_object_new_object(), *j, *pages;
	struct tidings t = {
		.event = a->since ? TOLD_CHANGES : TOLD_STATE,
		.snapshot = &r->snapshot,
		.generation = r->generation->number,
		.since = a->since ? a->since->number : 0,
		.level = r->snapshot.inode ? a->told->level : EVENTS_NONE,
		.lost = a->told->lost,
		.took = r->took,
		.age = monotonic_ns() - r->began,
	};
	char id[OBJECT_ID_MAX];
	uint64_t first;

	if (!a->begun)
		a->page = r->snapshot.first;
	first = a->page;
	object_id_format(&r->object->id, true, id);
	j = json_of_tidings(&t, id);
	json_add_snapshot(summary, &r->snapshot, a->question->states);
	pages = answer_pages(a, &draft->goes_on);
	add_pages(j, summary, json_number(first), draft->goes_on ? json_number(a->page) : NULL);
	json_object_object_add(j, "extents", a->since ? NULL : pages);
	json_object_object_add(j, "changes", a->since ? pages : NULL);
	return j;
}
