/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json/encode.h"
#include "serve/answer-inside.h"
#include "util/text.h"
#include "util/util.h"

/* All fields but the device, with numbers of 19 digits. */
#define EXTENT_BYTES 176

static struct json_object *json_of_path(const char *path)
{
	_cleanup_free_ char *escaped = path ? text_escape(path) : NULL;

	return escaped ? json_object_new_string(escaped) : NULL;
}

static struct json_object *json_of_extent(const struct slot_map *map, const struct slot_extent *e)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "first", json_number(e->first));
	json_object_object_add(j, "count", json_number(e->count));
	json_object_object_add(j, "type", json_number(e->type));
	json_object_object_add(j, "slot", json_number(e->offset));
	json_object_object_add(j, "content",
			       json_object_new_string(slot_content_to_string(e->content)));
	json_object_object_add(j, "cached",
			       e->cached == SLOT_CACHED_UNKNOWN
				       ? NULL
				       : json_object_new_boolean(e->cached == SLOT_CACHED));
	json_object_object_add(j, "device", json_of_path(map->swaps[e->type].path));
	return j;
}

/* Also how long the longest path of one is, in *ret_longest. */
static struct json_object *json_of_swaps(const struct slot_map *map, size_t *ret_longest)
{
	struct json_object *array = json_object_new_array();
	size_t longest = 0;

	for (unsigned k = 0; k < SLOT_TYPES; k++) {
		struct json_object *j, *device;

		if (!map->swaps[k].in_use)
			continue;
		j = json_object_new_object();
		device = json_of_path(map->swaps[k].path);
		longest = MAX(longest, (size_t)json_object_get_string_len(device));
		json_object_object_add(j, "type", json_object_new_int((int)k));
		json_object_object_add(j, "device", device);
		json_object_object_add(j, "file", json_object_new_boolean(map->swaps[k].is_file));
		json_object_array_add(array, j);
	}
	*ret_longest = longest;
	return array;
}

static struct json_object *json_of_contents(const struct slot_map *map)
{
	struct json_object *j = json_object_new_object();

	for (int i = 0; i < SLOT_CONTENT_MAX; i++)
		json_object_object_add(j, slot_content_to_string((enum slot_content)i),
				       json_number(map->counts[i]));
	return j;
}

static void add_reasons(struct json_object *j, const struct slot_map *map)
{
	struct json_object *reasons = json_object_new_array();
	bool unlocated = map->unlocated > 0, unknown = map->counts[SLOT_UNKNOWN] > 0;

	if (unlocated)
		json_object_array_add(reasons, json_object_new_string("pages changed each time "
								      "they were looked at"));
	if (unknown)
		json_object_array_add(
			reasons, json_object_new_string("content may be in RAM, on the device or "
							"in zswap: it could not be told which"));
	json_object_object_add(j, "incomplete", json_object_new_boolean(unlocated || unknown));
	json_object_object_add(j, "reasons", reasons);
}

static struct json_object *json_of_range(const struct slot_map *map)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "first", json_number(map->first));
	json_object_object_add(j, "count", json_number(map->count));
	return j;
}

struct json_object *answer_slots(struct answer *a, struct reply_draft *draft)
{
	const struct slot_map *map = &a->result->slots;
	struct json_object *j = json_object_new_object(), *array = json_object_new_array();
	uint64_t first = a->begun ? a->page : map->first;
	size_t longest, end;
	char id[OBJECT_ID_MAX];

	object_id_format(&a->result->object->id, a->result->object->has_twin, id);
	json_object_object_add(j, "object", json_object_new_string(id));
	json_object_object_add(j, "pageSize", json_number(map->page_size));
	json_object_object_add(j, "size", json_number(map->size));
	json_object_object_add(j, "range", json_of_range(map));
	/* There is no other way. */
	json_object_object_add(j, "probe", json_object_new_string("walk"));
	json_object_object_add(j, "stable", json_object_new_boolean(map->moved == 0));
	json_object_object_add(j, "movedPages", json_number(map->moved));
	json_object_object_add(j, "contents", json_of_contents(map));
	json_object_object_add(j, "cachedPages", json_number(map->cached));
	json_object_object_add(j, "unlocatedPages", json_number(map->unlocated));
	add_reasons(j, map);
	json_object_object_add(j, "swaps", json_of_swaps(map, &longest));
	end = MIN(map->n_items, a->index + answer_room(a, EXTENT_BYTES + longest));
	for (; a->index < end; a->index++)
		json_object_array_add(array, json_of_extent(map, &map->items[a->index]));
	draft->goes_on = a->index < map->n_items;
	if (draft->goes_on)
		a->page = map->items[a->index].first;
	json_object_object_add(j, "first", json_number(first));
	json_object_object_add(j, "next", draft->goes_on ? json_number(a->page) : NULL);
	json_object_object_add(j, "extents", array);
	return j;
}
