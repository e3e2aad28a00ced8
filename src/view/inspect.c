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

int inspect_descriptor(struct prober *p, const struct discovery *d, const struct object *o, int fd,
		       struct page_range range, bool one_look, struct snapshot *ret)
{
	_cleanup_free_ struct probe_witness *witnesses = NULL;
	struct probe_request request = {
		.fd = fd, .caps = d->caps, .range = range, .one_look = one_look};
	int r;

	/* Only without cachestat are they asked. */
	if (!kcaps_has(d->caps, KCAP_CACHESTAT)) {
		r = make_witnesses(d, o, &witnesses, &request.n_witnesses);
		if (r < 0)
			return r;
	}
	request.witnesses = witnesses;
	return probe(p, &request, ret);
}

static int inspect(struct prober *p, const struct discovery *d, const struct object *o,
		   struct page_range range, bool one_look, struct snapshot *ret)
{
	_cleanup_close_ int fd = object_open(d, o);

	return fd < 0 ? fd : inspect_descriptor(p, d, o, fd, range, one_look, ret);
}

int inspect_object(struct prober *p, const struct discovery *d, const struct object *o,
		   struct page_range range, struct snapshot *ret)
{
	return inspect(p, d, o, range, false, ret);
}

int inspect_locate(struct prober *p, const struct discovery *d, const struct object *o,
		   struct page_range range, struct slot_map *ret)
{
	_cleanup_close_ int fd = object_open(d, o);
	struct probe_request request = {.fd = fd, .caps = d->caps, .range = range};

	return fd < 0 ? fd : probe_locate(p, &request, ret);
}

int inspect_object_once(struct prober *p, const struct discovery *d, const struct object *o,
			struct snapshot *ret)
{
	return inspect(p, d, o, PROBE_ALL, true, ret);
}
