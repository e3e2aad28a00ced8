/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "discover/open.h"
#include "util/util.h"
#include "view/inspect.h"

/* The mappers that can witness for "present"; private mappings show copies. */
static int make_witnesses(const struct discovery *d, const struct object *o,
			  struct probe_witness **ret, size_t *ret_n)
{
	struct probe_witness *witnesses = calloc(o->n_mappers + 1, sizeof(*witnesses));
	uint64_t page_size = d->caps->page_size;
	size_t n = 0;

	if (!witnesses)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_mappers; i++) {
		const struct object_mapper *m = &o->mappers[i];

		if (m->shared)
			witnesses[n++] = (struct probe_witness){
				.pid = m->pid,
				.page = m->start / page_size,
				.first = m->offset / page_size,
				.count = (m->end - m->start) / page_size,
			};
	}
	*ret = witnesses;
	*ret_n = n;
	return 0;
}

static int inspect(struct prober *p, const struct discovery *d, const struct object *o,
		   struct probe_request *request, struct snapshot *ret)
{
	_cleanup_free_ struct probe_witness *witnesses = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	request->caps = d->caps;
	/* Only without cachestat are they asked. */
	if (!kcaps_has(d->caps, KCAP_CACHESTAT)) {
		r = make_witnesses(d, o, &witnesses, &request->n_witnesses);
		if (r < 0)
			return r;
	}
	fd = object_open(d, o);
	if (fd < 0)
		return fd;
	request->fd = fd;
	request->witnesses = witnesses;
	return probe(p, request, ret);
}

int inspect_object(struct prober *p, const struct discovery *d, const struct object *o,
		   struct page_range range, struct snapshot *ret)
{
	struct probe_request request = {.range = range};

	return inspect(p, d, o, &request, ret);
}

int inspect_object_once(struct prober *p, const struct discovery *d, const struct object *o,
			struct snapshot *ret)
{
	struct probe_request request = {.range = PROBE_ALL, .one_look = true};

	return inspect(p, d, o, &request, ret);
}
