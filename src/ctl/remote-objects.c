/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "ctl/progress.h"
#include "ctl/remote.h"
#include "json/decode.h"
#include "json/encode.h"
#include "json/get.h"

/* An object of an answer, kept. */
static int take_object(struct remote *r, struct json_object *j, struct object **ret)
{
	struct object *o;
	int error = object_from_json(j, &o);

	if (error < 0)
		return error;
	error = remote_keep(r, o);
	if (error >= 0)
		*ret = o;
	return error;
}

/* Its states, or why there are none. */
static int take_summary(struct json_object *j, const struct object *o, struct snapshot *ret,
			char **ret_reason)
{
	struct json_object *summary;
	const char *reason = "its pages are not known";

	if (json_get(j, "summary", json_type_object, &summary))
		return snapshot_from_json(summary, o->page_size, ret);
	json_get_text(j, "reason", &reason);
	*ret_reason = strdup(reason);
	return *ret_reason ? 0 : -ENOMEM;
}

static int take_gaps(struct remote *r, struct json_object *reply)
{
	struct json_object *reasons;

	return json_get(reply, "reasons", json_type_array, &reasons) ? texts_add(&r->gaps, reasons)
								     : 0;
}

static int list_object(struct remote *r, struct json_object *j, struct listing *l)
{
	struct listed *item;
	struct object *o;
	int error = take_object(r, j, &o);

	if (error < 0)
		return error;
	item = listing_add(l, o);
	if (!item)
		return -ENOMEM;
	item->holders = o->n_holders;
	item->mappers = o->n_mappers;
	item->processes = object_count_processes(o);
	json_get_number(j, "fileDescriptors", &item->holders);
	json_get_number(j, "mappings", &item->mappers);
	json_get_number(j, "processes", &item->processes);
	error = take_summary(j, o, &item->snapshot, &item->reason);
	item->barred = item->reason && object_kind_is_swappable(o->kind);
	progress_tell(l->n_items, 0);
	return error;
}

/* Where the objects of each reply go. */
struct lister {
	struct remote *remote;
	struct listing *listing; /* NULL: only kept */
	bool has_one;            /* GetObject's replies are all about one */
};

static int handle_objects(void *context, struct json_object *reply)
{
	struct lister *l = context;
	struct json_object *array;
	int error = take_gaps(l->remote, reply);

	if (!json_get(reply, "objects", json_type_array, &array))
		return -EBADMSG;
	for (size_t i = 0; i < json_object_array_length(array) && error >= 0; i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct object *o;

		error = l->listing ? list_object(l->remote, j, l->listing)
				   : take_object(l->remote, j, &o);
	}
	return error;
}

/* The first reply says all that is listed. */
static int handle_passed(void *context, struct json_object *reply)
{
	struct lister *l = context;
	struct json_object *j;
	struct object *o;
	int error;

	if (l->has_one)
		return 0;
	l->has_one = true;
	if (!json_get(reply, "object", json_type_object, &j))
		return -EBADMSG;
	error = l->listing ? list_object(l->remote, j, l->listing) : take_object(l->remote, j, &o);
	return error < 0 ? error : take_gaps(l->remote, reply);
}

/* A file that the service finds by our descriptor only. */
static int get_passed(struct remote *r, struct lister *l)
{
	struct json_object *parameters = json_object_new_object();

	remote_add_probe(r, parameters);
	return remote_ask_more(r, "GetObject", parameters, true, handle_passed, l);
}

static int list_objects(struct remote *r, struct json_object *parameters, struct lister *l)
{
	size_t before = r->n_objects;
	int error;

	if (r->path_fd >= 0) {
		json_object_put(parameters);
		return get_passed(r, l);
	}
	error = remote_ask_more(r, "ListObjects", parameters, true, handle_objects, l);
	if (error >= 0 && r->n_objects == before && remote_pass_path(r))
		error = get_passed(r, l);
	return error;
}

static struct json_object *json_of_kinds(uint32_t kinds)
{
	struct json_object *j = json_object_new_array();

	for (int i = 0; i < OBJECT_KIND_MAX; i++)
		if (kinds & UINT32_C(1) << i)
			json_object_array_add(j, json_object_new_string(object_kind_to_string(
							 (enum object_kind)i)));
	return j;
}

int remote_list(struct source *s, bool stability, struct listing *ret)
{
	struct remote *r = remote_of(s);
	struct lister l = {.remote = r, .listing = ret};
	struct json_object *parameters = json_object_new_object();
	int error;

	json_object_object_add(parameters, "summarize", json_object_new_boolean(true));
	json_object_object_add(parameters, "stability", json_object_new_boolean(stability));
	if (s->options->kinds)
		json_object_object_add(parameters, "kinds", json_of_kinds(s->options->kinds));
	remote_add_probe(r, parameters);
	error = list_objects(r, parameters, &l);
	return error < 0 ? remote_failed(r, error) : 0;
}

int remote_find(struct remote *r, size_t *ret_first)
{
	struct lister l = {.remote = r};
	size_t first = r->n_objects;
	int error = list_objects(r, NULL, &l);

	if (error >= 0)
		*ret_first = first;
	return error;
}

/* What an object's replies come to: the first says all but for some who hold and map it. */
struct shower {
	struct remote *remote;
	struct object *object;
	struct snapshot *snapshot;
	char **reason;
};

static int add_processes(struct object *to, const struct object *from)
{
	int r = 0;

	for (size_t i = 0; i < from->n_holders && r >= 0; i++)
		r = object_add_holder(to, &from->holders[i]);
	for (size_t i = 0; i < from->n_mappers && r >= 0; i++)
		r = object_add_mapper(to, &from->mappers[i]);
	return r;
}

static int handle_object(void *context, struct json_object *reply)
{
	struct shower *s = context;
	struct json_object *j;
	struct object *o;
	int error;

	if (!json_get(reply, "object", json_type_object, &j))
		return -EBADMSG;
	error = take_object(s->remote, j, &o);
	if (error >= 0 && s->object)
		return add_processes(s->object, o);
	if (error < 0)
		return error;
	s->object = o;
	error = take_summary(j, o, s->snapshot, s->reason);
	return error < 0 ? error : take_gaps(s->remote, reply);
}

int remote_show(struct source *s, const struct object **ret_object, struct snapshot *ret,
		char **ret_reason)
{
	struct remote *r = remote_of(s);
	struct json_object *parameters = json_object_new_object();
	struct shower shower = {.remote = r, .snapshot = ret, .reason = ret_reason};
	struct object *o;
	char id[OBJECT_ID_MAX];
	int error;

	remote_add_probe(r, parameters);
	error = remote_ask_more(r, "GetObject", parameters, true, handle_object, &shower);
	if (error >= 0 && !shower.object)
		error = -EBADMSG;
	if (error < 0)
		return remote_failed(r, error);
	o = shower.object;
	/* Memory that cannot be swapped has no states, and is shown without. */
	if (*ret_reason && object_kind_is_swappable(o->kind))
		return failed("%s: %s", object_id_format(&o->id, o->has_twin, id), *ret_reason);
	*ret_object = o;
	return 0;
}

/* The states out of the service's map; they must be what the reply says. */
static int fill_map(const struct shmstate_map *map, struct snapshot *s)
{
	struct shmstate_extent e;
	uint64_t page = 0;
	int error = 0;

	if (shmstate_map_first(map) != s->first || shmstate_map_count(map) != s->count ||
	    shmstate_map_page_size(map) != s->page_size)
		return -EBADMSG;
	s->map.first = s->first;
	while (error >= 0 && shmstate_map_next(map, &page, &e))
		error = state_map_append(&s->map, e.count, (enum page_state)e.state);
	if (error >= 0 && memcmp(s->counts, s->map.counts, sizeof(s->counts)) != 0)
		return -EBADMSG;
	return error;
}

static int take_map(struct remote *r, struct json_object *reply, struct snapshot *s)
{
	struct shmstate_map *map;
	uint64_t index;
	int error, fd;

	if (!json_get_number(reply, "fileDescriptor", &index) || index > UINT32_MAX)
		return -EBADMSG;
	fd = shmstate_take_fd(r->service, (unsigned)index);
	if (fd < 0)
		return -EBADMSG;
	error = shmstate_map_open(fd, &map);
	close(fd);
	if (error < 0)
		return error;
	error = fill_map(map, s);
	shmstate_map_free(map);
	return error;
}

static int take_states(struct remote *r, struct json_object *reply, struct snapshot *ret)
{
	uint64_t page_size;
	int error;

	if (!json_get_number(reply, "pageSize", &page_size) || page_size == 0)
		return -EBADMSG;
	error = snapshot_from_json(reply, page_size, ret);
	return error < 0 ? error : take_map(r, reply, ret);
}

/* Nothing is asked of no page. */
int remote_check_object(struct remote *r)
{
	struct json_object *reply, *j = json_object_new_object(), *none = json_object_new_object();
	int error;

	json_object_object_add(none, "first", json_number(0));
	json_object_object_add(none, "count", json_number(0));
	json_object_object_add(j, "range", none);
	error = remote_ask(r, "Summarize", j, true, &reply);
	if (error < 0)
		return remote_failed(r, error);
	json_object_put(reply);
	return 0;
}

int remote_find_named(struct remote *r, const struct object **ret)
{
	enum output_format format = r->base.options->format;
	size_t first;
	int error;

	if (format != FORMAT_TABLE && format != FORMAT_JSON)
		return 0;
	error = remote_find(r, &first);
	if (error < 0)
		return remote_failed(r, error);
	if (r->n_objects - first != 1)
		return failed("the object has gone");
	*ret = r->objects[first];
	return 0;
}

int remote_classify(struct source *s, struct page_range range, const struct object **ret_object,
		    struct snapshot *ret)
{
	struct remote *r = remote_of(s);
	struct json_object *reply, *parameters = json_object_new_object();
	int error;

	json_object_object_add(parameters, "encoding", json_object_new_string("file_descriptor"));
	remote_add_probe(r, parameters);
	remote_add_range(r, parameters, range);
	remote_add_settle(r, parameters);
	error = remote_ask(r, "Classify", parameters, true, &reply);
	if (error < 0)
		return remote_failed(r, error);
	error = take_states(r, reply, ret);
	json_object_put(reply);
	return error < 0 ? remote_failed(r, error) : remote_find_named(r, ret_object);
}

static int handle_slots(void *context, struct json_object *reply)
{
	return slot_map_add_json(context, reply);
}

int remote_locate(struct source *s, struct page_range range, const struct object **ret_object,
		  struct slot_map *ret)
{
	struct remote *r = remote_of(s);
	struct json_object *parameters = json_object_new_object();
	int error;

	remote_add_range(r, parameters, range);
	error = remote_ask_more(r, "Locate", parameters, true, handle_slots, ret);
	return error < 0 ? remote_failed(r, error) : remote_find_named(r, ret_object);
}
