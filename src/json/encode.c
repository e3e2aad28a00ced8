/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json/encode.h"
#include "util/text.h"
#include "util/util.h"

struct json_object *json_number(uint64_t n)
{
	return json_object_new_int64((int64_t)n);
}

struct json_object *json_of_states(page_state_mask states)
{
	struct json_object *j = json_object_new_array();

	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (states & PAGE_STATE_BIT(i))
			json_object_array_add(j, json_object_new_string(
							 page_state_to_string((enum page_state)i)));
	return j;
}

struct json_object *json_of_object(const struct object *o)
{
	struct json_object *j = json_object_new_object();
	_cleanup_free_ char *name = o->name ? text_escape(o->name) : NULL;
	char id[OBJECT_ID_MAX];

	json_object_object_add(j, "object",
			       json_object_new_string(object_id_format(&o->id, o->has_twin, id)));
	json_object_object_add(j, "kind", json_object_new_string(object_kind_to_string(o->kind)));
	json_object_object_add(j, "name", name ? json_object_new_string(name) : NULL);
	json_object_object_add(j, "deleted", json_object_new_boolean(o->deleted));
	json_object_object_add(j, "size", o->have_size ? json_number(o->size) : NULL);
	json_object_object_add(j, "pageSize", json_number(o->page_size));
	json_object_object_add(j, "swappable",
			       json_object_new_boolean(object_kind_is_swappable(o->kind)));
	return j;
}

static struct json_object *json_of_range(const struct snapshot *s)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "first", json_number(s->first));
	json_object_object_add(j, "count", json_number(s->count));
	return j;
}

static struct json_object *json_of_sources(uint32_t sources)
{
	struct json_object *j = json_object_new_array();

	for (unsigned bit = 1; bit <= sources; bit <<= 1)
		if (sources & bit)
			json_object_array_add(j, json_object_new_string(probe_source_to_string(
							 (enum probe_source)bit)));
	return j;
}

static struct json_object *json_of_reasons(uint32_t reasons)
{
	struct json_object *j = json_object_new_array();

	for (unsigned bit = 1; bit <= reasons; bit <<= 1)
		if (reasons & bit)
			json_object_array_add(j, json_object_new_string(snapshot_reason_to_string(
							 (enum snapshot_reason)bit)));
	return j;
}

static struct json_object *json_of_verification(const struct verification *v)
{
	struct json_object *j = json_object_new_object(), *items = json_object_new_array();

	for (size_t i = 0; i < v->n_items; i++) {
		const struct disagreement *d = &v->items[i];
		struct json_object *item = json_object_new_object();

		json_object_object_add(item, "first", json_number(d->first));
		json_object_object_add(item, "count", json_number(d->count));
		json_object_object_add(item, "walk",
				       json_object_new_string(page_state_to_string(d->walk)));
		json_object_object_add(item, "portable",
				       json_object_new_string(page_state_to_string(d->portable)));
		json_object_object_add(item, "explained", json_object_new_boolean(d->explained));
		json_object_array_add(items, item);
	}
	json_object_object_add(j, "comparedPages", json_number(v->compared));
	json_object_object_add(j, "undeterminedPages", json_number(v->undetermined));
	json_object_object_add(j, "disagreements", items);
	return j;
}

void json_add_snapshot(struct json_object *to, const struct snapshot *s, page_state_mask asked)
{
	struct json_object *counts = json_object_new_object();

	json_object_object_add(to, "size", json_number(s->size));
	json_object_object_add(to, "range", json_of_range(s));
	json_object_object_add(to, "probe", json_object_new_string(s->probe));
	json_object_object_add(to, "interfaces", json_of_sources(s->sources));
	json_object_object_add(
		to, "noWalk",
		s->walk_error ? json_object_new_string(text_walker_error(s->walk_error)) : NULL);
	if (s->verification.done)
		json_object_object_add(to, "verified", json_of_verification(&s->verification));
	json_object_object_add(to, "stable", json_object_new_boolean(s->stable));
	json_object_object_add(to, "movedPages", json_number(s->moved));
	json_object_object_add(to, "incomplete",
			       json_object_new_boolean(snapshot_is_incomplete(s, asked)));
	json_object_object_add(to, "reasons", json_of_reasons(s->reasons));
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		json_object_object_add(counts, page_state_to_string((enum page_state)i),
				       json_number(s->counts[i]));
	json_object_object_add(to, "counts", counts);
	json_object_object_add(to, "generation", s->generation ? json_number(s->generation) : NULL);
}

struct json_object *json_of_holders(const struct object *o, size_t first, size_t n,
				    const char *descriptor)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = first; i < first + n; i++) {
		struct json_object *j = json_object_new_object();

		json_object_object_add(j, "pid", json_object_new_int(o->holders[i].pid));
		json_object_object_add(j, descriptor, json_object_new_int(o->holders[i].fd));
		json_object_array_add(array, j);
	}
	return array;
}

struct json_object *json_of_mappers(const struct object *o, size_t first, size_t n)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = first; i < first + n; i++) {
		const struct object_mapper *m = &o->mappers[i];
		struct json_object *j = json_object_new_object();

		json_object_object_add(j, "pid", json_object_new_int(m->pid));
		json_object_object_add(j, "start", json_object_new_int64((int64_t)m->start));
		json_object_object_add(j, "end", json_object_new_int64((int64_t)m->end));
		json_object_object_add(j, "offset", json_object_new_int64((int64_t)m->offset));
		json_object_object_add(j, "sharing",
				       json_object_new_string(m->shared ? "shared" : "private"));
		json_object_array_add(array, j);
	}
	return array;
}
