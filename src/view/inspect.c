/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "discover/open.h"
#include "model/delta.h"
#include "util/stop.h"
#include "util/util.h"
#include "view/inspect.h"

/* Between two looks that did not agree: at first next to nothing, then up to this. */
#define SETTLE_WAIT_MAX_US 20000

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

static int look(struct inspection *i, struct snapshot *ret)
{
	int r;

	i->began = monotonic_ns();
	r = inspect_descriptor(i->prober, i->discovery, i->object, i->fd, i->range, false, ret);
	i->ended = monotonic_ns();
	return r;
}

/* What changed at every reading has not come to rest, however alike two looks are. */
static bool agree(const struct snapshot *a, const struct snapshot *b)
{
	return delta_is_empty(a, b) && !((a->reasons | b->reasons) & SNAPSHOT_KEPT_MOVING);
}

/* Not at once: what moves on and on is not to take a processor for as long as it may. */
static int wait_between(unsigned round)
{
	if (round > 0)
		usleep(MIN(100u << MIN(round, 8u), SETTLE_WAIT_MAX_US));
	return stop_asked();
}

int inspect_pages(struct inspection *i, struct snapshot *ret)
{
	uint64_t until = monotonic_ns() + i->settle * UINT64_C(1000000);
	struct snapshot s, again;
	unsigned round = 0;
	int r = look(i, &s);

	if (r < 0)
		return r;
	while (i->settle > 0 && !s.settled && (round == 0 || monotonic_ns() < until)) {
		r = wait_between(round++);
		if (r >= 0)
			r = look(i, &again);
		if (r < 0) {
			snapshot_done(&s);
			return r;
		}
		again.settled = agree(&s, &again);
		snapshot_done(&s);
		s = again;
	}
	*ret = s;
	return 0;
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

int inspect_object_settled(struct prober *p, const struct discovery *d, const struct object *o,
			   struct page_range range, unsigned settle, struct snapshot *ret)
{
	_cleanup_close_ int fd = object_open(d, o);
	struct inspection i = {
		.prober = p,
		.discovery = d,
		.object = o,
		.fd = fd,
		.range = range,
		.settle = settle,
	};

	return fd < 0 ? fd : inspect_pages(&i, ret);
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
