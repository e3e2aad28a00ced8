/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/remote.h"
#include "json/encode.h"

struct json_object *remote_make_candidates(struct remote *r, struct page_range range,
					   uint64_t max_pages)
{
	const struct options *o = r->base.options;
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "ageSeconds", json_number(o->age));
	json_object_object_add(j, "unproven", json_object_new_boolean(o->unproven));
	if (max_pages < UINT64_MAX)
		json_object_object_add(j, "maxPages", json_number(max_pages));
	remote_add_probe(r, j);
	remote_add_range(r, j, range);
	return j;
}
