/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "serve/result.h"
#include "util/util.h"

struct result *result_new(void)
{
	struct result *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	atomic_init(&r->n_references, 1);
	r->discovery.proc_fd = -1;
	r->view.pagemap_fd = -1;
	r->words_fd = -1;
	return r;
}

struct result *result_ref(struct result *r)
{
	atomic_fetch_add(&r->n_references, 1);
	return r;
}

struct result *result_unref(struct result *r)
{
	if (!r || atomic_fetch_sub(&r->n_references, 1) > 1)
		return NULL;
	json_object_put(r->error_parameters);
	for (size_t i = 0; i < r->n_listed; i++) {
		snapshot_done(&r->listed[i].snapshot);
		generation_unref(r->listed[i].generation);
		owners_done(&r->listed[i].owners);
	}
	free(r->listed);
	free(r->runs);
	if (r->generation)
		r->snapshot.map = (struct state_map){0};
	generation_unref(r->generation);
	generation_unref(r->since);
	refaults_done(&r->comebacks.refaults);
	snapshot_done(&r->snapshot);
	slot_map_done(&r->slots);
	process_view_done(&r->view);
	discovery_done(&r->discovery);
	closep(&r->words_fd);
	if (r->held)
		ledger_give(r->held, r->held_by, r->n_held);
	free(r);
	return NULL;
}

/* What grows with the object. (Words are in the reply, and entered for it.) */
static size_t count_bytes(const struct result *r)
{
	const struct state_map *map = &r->snapshot.map;
	size_t n = map->n_segments_allocated * sizeof(*map->segments) +
		   map->n_dense_allocated * sizeof(*map->dense) +
		   r->slots.n_allocated * sizeof(*r->slots.items) +
		   refaults_bytes(&r->comebacks.refaults) + r->n_runs_allocated * sizeof(*r->runs);

	for (size_t i = 0; i < r->view.n_snapshots; i++) {
		map = &r->view.snapshots[i].map;
		n += map->n_segments_allocated * sizeof(*map->segments) +
		     map->n_dense_allocated * sizeof(*map->dense);
	}
	return n;
}

int result_hold(struct result *r, struct ledger *held, uid_t uid, size_t *ret_total,
		size_t *ret_of_user)
{
	size_t bytes = count_bytes(r);
	int error = ledger_take(held, uid, bytes, ret_total, ret_of_user);

	if (error < 0)
		return error;
	r->held = held;
	r->held_by = uid;
	r->n_held = bytes;
	return 0;
}

void result_reset(struct result *r)
{
	result_fail(r, NULL, NULL);
	discovery_done(&r->discovery);
	r->object = NULL;
	r->recalled = false;
}

void result_fail(struct result *r, const char *error, struct json_object *parameters)
{
	json_object_put(r->error_parameters);
	r->error = error;
	r->error_parameters = parameters;
}
