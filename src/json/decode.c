/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "json/decode.h"
#include "json/get.h"
#include "util/array.h"
#include "util/text.h"
#include "util/util.h"

static bool get_int(struct json_object *j, const char *key, int *ret)
{
	uint64_t n;

	if (!json_get_number(j, key, &n) || n > INT_MAX)
		return false;
	*ret = (int)n;
	return true;
}

static bool get_state(struct json_object *j, const char *key, enum page_state *ret)
{
	const char *text;
	int state = json_get_text(j, key, &text) ? page_state_from_string(text) : -EINVAL;

	if (state < 0)
		return false;
	*ret = (enum page_state)state;
	return true;
}

/* Of pages; an object has no more than fit into its largest size. */
static bool get_range(struct json_object *j, uint64_t *ret_first, uint64_t *ret_count)
{
	return json_get_number(j, "first", ret_first) && json_get_number(j, "count", ret_count);
}

static int add_holders(struct object *o, struct json_object *array)
{
	int r = 0;

	for (size_t i = 0; i < json_object_array_length(array) && r >= 0; i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct object_holder h;

		if (!get_int(j, "pid", &h.pid) || !get_int(j, "fileDescriptor", &h.fd))
			return -EBADMSG;
		r = object_add_holder(o, &h);
	}
	return r;
}

static int add_mappers(struct object *o, struct json_object *array)
{
	int r = 0;

	for (size_t i = 0; i < json_object_array_length(array) && r >= 0; i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct object_mapper m;
		const char *sharing;

		if (!get_int(j, "pid", &m.pid) || !json_get_number(j, "start", &m.start) ||
		    !json_get_number(j, "end", &m.end) || m.end < m.start ||
		    !json_get_number(j, "offset", &m.offset) ||
		    !json_get_text(j, "sharing", &sharing))
			return -EBADMSG;
		m.shared = strcmp(sharing, "shared") == 0;
		r = object_add_mapper(o, &m);
	}
	return r;
}

static int fill_object(struct object *o, struct json_object *j)
{
	const char *id, *kind, *name;
	struct json_object *array;
	int r = 0;

	if (!json_get_text(j, "object", &id) || object_id_parse(id, &o->id) < 0 ||
	    !json_get_text(j, "kind", &kind) || !json_get_bool(j, "deleted", &o->deleted) ||
	    !json_get_number(j, "pageSize", &o->page_size) || o->page_size == 0)
		return -EBADMSG;
	r = object_kind_from_string(kind);
	if (r < 0)
		return -EBADMSG;
	o->kind = (enum object_kind)r;
	/* It is written with its generation where that is needed, and only there. */
	o->has_twin = o->id.have_generation;
	o->have_size = json_get_number(j, "size", &o->size);
	if (json_get_text(j, "name", &name)) {
		o->name = text_unescape(name);
		if (!o->name)
			return -ENOMEM;
	}
	r = json_get(j, "holders", json_type_array, &array) ? add_holders(o, array) : 0;
	if (r >= 0 && json_get(j, "mappers", json_type_array, &array))
		r = add_mappers(o, array);
	return r;
}

int object_from_json(struct json_object *j, struct object **ret)
{
	struct object *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	r = fill_object(o, j);
	if (r < 0) {
		object_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

/* The bits of what the array names. */
static uint32_t bits_of_words(struct json_object *array, const char *(*word)(uint32_t bit))
{
	uint32_t bits = 0;

	for (size_t i = 0; i < json_object_array_length(array); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(array, i));

		for (uint32_t bit = 1; text && bit <= UINT32_C(1) << 15; bit <<= 1)
			if (strcmp(word(bit), text) == 0)
				bits |= bit;
	}
	return bits;
}

static const char *source_word(uint32_t bit)
{
	return probe_source_to_string((enum probe_source)bit);
}

static const char *reason_word(uint32_t bit)
{
	return snapshot_reason_to_string((enum snapshot_reason)bit);
}

/* The number that is said like this. What is not said here may be of another version. */
static int walker_error_of_text(const char *text)
{
	for (int e = 1; e < 256; e++)
		if (strcmp(text_walker_error(-e), text) == 0)
			return -e;
	return -EPROTO;
}

static int add_disagreement(struct verification *v, struct json_object *j)
{
	struct disagreement *d;
	int r = ARRAY_RESERVE(&v->items, &v->n_allocated, v->n_items);

	if (r < 0)
		return r;
	d = &v->items[v->n_items];
	if (!get_range(j, &d->first, &d->count) || !get_state(j, "walk", &d->walk) ||
	    !get_state(j, "portable", &d->portable) ||
	    !json_get_bool(j, "explained", &d->explained))
		return -EBADMSG;
	v->n_items++;
	v->unexplained += d->explained ? 0 : d->count;
	return 0;
}

static int fill_verification(struct verification *v, struct json_object *j)
{
	struct json_object *items;
	int r = 0;

	if (!json_get_number(j, "comparedPages", &v->compared) ||
	    !json_get_number(j, "undeterminedPages", &v->undetermined) ||
	    !json_get(j, "disagreements", json_type_array, &items))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(items) && r >= 0; i++)
		r = add_disagreement(v, json_object_array_get_idx(items, i));
	v->done = true;
	return r;
}

static bool get_counts(struct json_object *j, uint64_t counts[PAGE_STATE_MAX])
{
	struct json_object *field;

	if (!json_get(j, "counts", json_type_object, &field))
		return false;
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (!json_get_number(field, page_state_to_string((enum page_state)i), &counts[i]))
			return false;
	return true;
}

static int fill_snapshot(struct snapshot *s, struct json_object *j)
{
	struct json_object *range = NULL, *array;
	const char *probe, *text;

	if (!json_get_number(j, "size", &s->size) ||
	    !json_get(j, "range", json_type_object, &range) ||
	    !get_range(range, &s->first, &s->count) || !json_get_text(j, "probe", &probe) ||
	    !json_get_bool(j, "stable", &s->stable) ||
	    !json_get_number(j, "movedPages", &s->moved) || !get_counts(j, s->counts))
		return -EBADMSG;
	if (s->first > UINT64_MAX / 2 || s->count > UINT64_MAX / 2)
		return -EBADMSG;
	s->probe = strcmp(probe, "walk") == 0 ? "walk" : "portable";
	/* Null: not kept, not asked for. */
	json_get_number(j, "generation", &s->generation);
	json_get_bool(j, "settled", &s->settled);
	if (json_get(j, "interfaces", json_type_array, &array))
		s->sources = bits_of_words(array, source_word);
	if (json_get(j, "reasons", json_type_array, &array))
		s->reasons = bits_of_words(array, reason_word);
	if (json_get_text(j, "noWalk", &text))
		s->walk_error = walker_error_of_text(text);
	return json_get(j, "verified", json_type_object, &array)
		       ? fill_verification(&s->verification, array)
		       : 0;
}

int snapshot_from_json(struct json_object *j, uint64_t page_size, struct snapshot *ret)
{
	struct snapshot s = {.page_size = page_size};
	int r = fill_snapshot(&s, j);

	if (r < 0) {
		snapshot_done(&s);
		return r;
	}
	s.map.first = s.first;
	*ret = s;
	return 0;
}

/* Null is what lies behind the end; a field must be there. */
static bool get_state_or_beyond(struct json_object *j, const char *key, int *ret)
{
	struct json_object *field;
	enum page_state state;

	if (!json_object_is_type(j, json_type_object) || !json_object_object_get_ex(j, key, &field))
		return false;
	if (!field) {
		*ret = CHANGE_BEYOND;
		return true;
	}
	if (!get_state(j, key, &state))
		return false;
	*ret = (int)state;
	return true;
}

int change_from_json(struct json_object *j, struct change *ret)
{
	struct change c;

	if (!get_range(j, &c.first, &c.count) || !get_state_or_beyond(j, "from", &c.from) ||
	    !get_state_or_beyond(j, "to", &c.to))
		return -EBADMSG;
	*ret = c;
	return 0;
}

static bool get_content(struct json_object *j, enum slot_content *ret)
{
	const char *text;

	if (!json_get_text(j, "content", &text))
		return false;
	for (int i = 0; i < SLOT_CONTENT_MAX; i++)
		if (strcmp(text, slot_content_to_string((enum slot_content)i)) == 0) {
			*ret = (enum slot_content)i;
			return true;
		}
	return false;
}

static int add_slots(struct slot_map *map, struct json_object *array)
{
	int r = 0;

	for (size_t i = 0; i < json_object_array_length(array) && r >= 0; i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct slot_extent e = {.cached = SLOT_CACHED_UNKNOWN};
		uint64_t type;
		bool cached;

		if (!get_range(j, &e.first, &e.count) || !json_get_number(j, "slot", &e.offset) ||
		    !json_get_number(j, "type", &type) || type >= SLOT_TYPES ||
		    !get_content(j, &e.content))
			return -EBADMSG;
		e.type = (unsigned)type;
		if (json_get_bool(j, "cached", &cached))
			e.cached = cached ? SLOT_CACHED : SLOT_NOT_CACHED;
		r = slot_map_append(map, &e);
	}
	return r == -EINVAL ? -EBADMSG : r;
}

static int set_swaps(struct slot_map *map, struct json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct slot_swap *swap;
		const char *device;
		uint64_t type;

		if (!json_get_number(j, "type", &type) || type >= SLOT_TYPES)
			return -EBADMSG;
		swap = &map->swaps[type];
		if (!json_get_bool(j, "file", &swap->is_file))
			return -EBADMSG;
		swap->in_use = true;
		if (swap->path || !json_get_text(j, "device", &device))
			continue;
		swap->path = text_unescape(device);
		if (!swap->path)
			return -ENOMEM;
	}
	return 0;
}

int slot_map_add_json(struct slot_map *map, struct json_object *j)
{
	struct json_object *range = NULL, *swaps, *extents;
	int r;

	if (!json_get_number(j, "pageSize", &map->page_size) || map->page_size == 0 ||
	    !json_get_number(j, "size", &map->size) ||
	    !json_get(j, "range", json_type_object, &range) ||
	    !get_range(range, &map->first, &map->count) ||
	    !json_get_number(j, "unlocatedPages", &map->unlocated) ||
	    !json_get(j, "swaps", json_type_array, &swaps) ||
	    !json_get(j, "extents", json_type_array, &extents))
		return -EBADMSG;
	r = set_swaps(map, swaps);
	return r < 0 ? r : add_slots(map, extents);
}
