/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "serve/told.h"
#include "util/util.h"

const struct told_object *told_find(const struct told *told, const struct identity *id)
{
	const struct told_objects *objects = &told->objects;

	if (objects->n_items == 0)
		return NULL;
	return bsearch(id, objects->items, objects->n_items, sizeof(*objects->items),
		       identity_compare);
}

static bool count(const struct told_object *o, struct event_counts *ret)
{
	return o->watch && watch_counts(o->watch, ret) >= 0;
}

void told_count_events(struct told *told)
{
	for (size_t i = 0; i < told->objects.n_items; i++) {
		struct told_object *o = &told->objects.items[i];

		o->counted_now = count(o, &o->counts_now);
	}
}

static void object_done(struct told_object *o)
{
	generation_unref(o->generation);
	watch_free(o->watch);
}

static void objects_done(struct told_objects *objects)
{
	for (size_t i = 0; i < objects->n_items; i++)
		object_done(&objects->items[i]);
	free(objects->items);
	*objects = (struct told_objects){0};
}

void told_forget(struct told *told)
{
	objects_done(&told->objects);
	told->generation = generation_unref(told->generation);
}

/* What the kernel counts goes on, if it still is this object's inode. */
static void watch(struct told_object *o, struct told_object *before, struct watches *watches,
		  uint64_t inode)
{
	if (before && before->watch && watch_inode(before->watch) == inode) {
		o->watch = before->watch;
		before->watch = NULL;
		o->counted = before->counted_now;
		o->counts = before->counts_now;
	} else if (watch_new(watches, inode, NULL, NULL, &o->watch) >= 0) {
		o->counted = count(o, &o->counts);
	}
	for (int i = 0; i < EVENT_KIND_MAX; i++)
		o->tells[i] = watches_tell(watches, (enum event_kind)i);
}

ssize_t told_remember(struct told *told, struct watches *watches, const struct result *result)
{
	struct told_objects objects = {0};
	size_t bytes = result->n_listed * sizeof(*objects.items);

	objects.items = calloc(result->n_listed + 1, sizeof(*objects.items));
	if (!objects.items)
		return -ENOMEM;
	for (size_t i = 0; i < result->n_listed; i++) {
		const struct listed *l = &result->listed[i];
		struct told_object *o = &objects.items[objects.n_items];

		if (!l->generation)
			continue;
		objects.n_items++;
		o->id = l->identity;
		o->generation = generation_ref(l->generation);
		bytes += l->generation->bytes;
		watch(o, (struct told_object *)told_find(told, &o->id), watches, l->snapshot.inode);
	}
	qsort(objects.items, objects.n_items, sizeof(*objects.items), identity_compare);
	objects_done(&told->objects);
	told->objects = objects;
	return (ssize_t)bytes;
}
