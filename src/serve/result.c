/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
	for (size_t i = 0; i < r->n_listed; i++)
		snapshot_done(&r->listed[i].snapshot);
	free(r->listed);
	free(r->runs);
	snapshot_done(&r->snapshot);
	slot_map_done(&r->slots);
	process_view_done(&r->view);
	discovery_done(&r->discovery);
	closep(&r->words_fd);
	free(r);
	return NULL;
}

void result_fail(struct result *r, const char *error, struct json_object *parameters)
{
	json_object_put(r->error_parameters);
	r->error = error;
	r->error_parameters = parameters;
}
