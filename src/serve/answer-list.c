/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/utsname.h>

#include "json/encode.h"
#include "serve/answer-inside.h"
#include "util/text.h"
#include "util/util.h"
#include "view/reasons.h"

static struct json_object *summary_of(const struct listed *l)
{
	struct json_object *j = json_object_new_object();

	json_add_snapshot(j, &l->snapshot, ~(page_state_mask)0);
	return j;
}

struct json_object *answer_listed(const struct listed *l)
{
	bool known = l->looked && l->error == 0;
	struct json_object *j = json_of_object(l->object);

	/* The look's size is newer than that of the discovery. */
	if (known)
		json_object_object_add(j, "size", json_number(l->snapshot.size));
	json_object_object_add(j, "processes", json_number(object_count_processes(l->object)));
	json_object_object_add(j, "fileDescriptors", json_number(l->object->n_holders));
	json_object_object_add(j, "mappings", json_number(l->object->n_mappers));
	json_object_object_add(j, "summary", known ? summary_of(l) : NULL);
	json_object_object_add(j, "reason",
			       l->error ? json_object_new_string(text_error(l->error)) : NULL);
	return j;
}

void answer_add_denied(struct json_object *j, const struct result *r)
{
	struct json_object *reasons = json_object_new_array();

	if (r->denied)
		json_object_array_add(
			reasons,
			json_object_new_string("for want of privilege some processes or objects "
					       "could not be seen"));
	json_object_object_add(j, "incomplete", json_object_new_boolean(r->denied));
	json_object_object_add(j, "reasons", reasons);
}

/* With `more` one a reply; else all, and if that is too long it is refused. */
struct json_object *answer_list(struct answer *a, struct reply_draft *draft)
{
	struct json_object *j = json_object_new_object(), *array = json_object_new_array();
	size_t end =
		a->question->more ? MIN(a->index + 1, a->result->n_listed) : a->result->n_listed;

	for (; a->index < end; a->index++)
		json_object_array_add(array, answer_listed(&a->result->listed[a->index]));
	draft->goes_on = a->index < a->result->n_listed;
	json_object_object_add(j, "objects", array);
	answer_add_denied(j, a->result);
	return j;
}

/* A holder or a mapper, with numbers of 19 digits, and a comma. */
#define PROCESS_BYTES 144

/* Who holds and who maps it, from the index-th on, as far as it fits: there may be thousands. */
static void add_processes(struct json_object *to, struct answer *a)
{
	const struct object *o = a->result->object;
	size_t room = a->question->more ? answer_room(a, PROCESS_BYTES) : SIZE_MAX;
	size_t first = MIN(a->index, o->n_holders), first_mapper = a->index - first;
	size_t n = MIN(o->n_holders - first, room);
	size_t n_mappers = MIN(o->n_mappers - first_mapper, room - n);

	json_object_object_add(to, "holders", json_of_holders(o, first, n, "fileDescriptor"));
	json_object_object_add(to, "mappers", json_of_mappers(o, first_mapper, n_mappers));
	a->index += n + n_mappers;
}

struct json_object *answer_object(struct answer *a, struct reply_draft *draft)
{
	const struct result *r = a->result;
	struct json_object *j = json_object_new_object();
	struct json_object *object = answer_listed(&r->listed[0]);

	add_processes(object, a);
	draft->goes_on = a->index < r->object->n_holders + r->object->n_mappers;
	json_object_object_add(j, "object", object);
	answer_add_denied(j, r);
	return j;
}

struct json_object *answer_capabilities(struct answer *a)
{
	const struct kcaps *caps = &a->result->caps;
	struct json_object *j = json_object_new_object(), *array = json_object_new_array();
	struct utsname name;

	uname(&name);
	json_object_object_add(j, "kernel", json_object_new_string(name.release));
	json_object_object_add(j, "machine", json_object_new_string(name.machine));
	json_object_object_add(j, "pageSize", json_number(caps->page_size));
	json_object_object_add(
		j, "probe",
		json_object_new_string(kcaps_has(caps, KCAP_WALK) ? "walk" : "portable"));
	for (int i = 0; i < KCAP_MAX; i++) {
		struct json_object *item = json_object_new_object();
		enum kcap cap = (enum kcap)i;
		char reason[REASON_MAX];

		reason_of_capability(caps, cap, reason);
		json_object_object_add(item, "capability",
				       json_object_new_string(kcap_to_string(cap)));
		json_object_object_add(item, "works",
				       json_object_new_boolean(kcaps_has(caps, cap)));
		json_object_object_add(item, "tells", json_object_new_string(kcap_purpose(cap)));
		json_object_object_add(item, "reason",
				       reason[0] ? json_object_new_string(reason) : NULL);
		json_object_array_add(array, item);
	}
	json_object_object_add(j, "capabilities", array);
	return j;
}
