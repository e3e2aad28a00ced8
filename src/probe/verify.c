/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/probe.h"
#include "probe/walk.h"
#include "util/util.h"

/* Pages that move make the two differ; what differs so often in a row does not move. */
#define VERIFY_TRIES 5

static int ask_both(struct prober *p, const struct probe_request *request,
		    struct snapshot *ret_walk, struct verification *ret)
{
	struct snapshot walk = {0}, portable = {0};
	int r = probe_walk(p, request, &walk);

	if (r < 0)
		return r;
	r = probe_portable(request, &portable);
	if (r >= 0)
		r = verification_compare(&walk.map, &portable.map, ret);
	snapshot_done(&portable);
	if (r < 0) {
		snapshot_done(&walk);
		return r;
	}
	*ret_walk = walk;
	return 0;
}

static int ask_again(struct prober *p, const struct probe_request *request, struct verification *v)
{
	const struct disagreement *last = &v->items[v->n_items - 1];
	struct probe_request narrow = *request;
	struct snapshot walk = {0};
	struct verification again = {0};
	int r;

	narrow.range.first = v->items[0].first;
	narrow.range.count = last->first + last->count - narrow.range.first;
	r = ask_both(p, &narrow, &walk, &again);
	if (r >= 0)
		r = verification_keep(v, &again);
	snapshot_done(&walk);
	verification_done(&again);
	return r;
}

/* The disagreement that is to be explained, page by page. */
struct explaining {
	const struct disagreement *item;
	uint64_t siblings; /* pages */
};

static int look_for_siblings(void *context, const struct walk_block *b)
{
	struct explaining *e = context;
	uint64_t first = MAX(e->item->first, b->first);
	uint64_t end = MIN(e->item->first + e->item->count, b->first + WORDS);

	for (; first < end; first++)
		e->siblings += (b->node.entry & b->node.sibling) >> (first - b->first) & 1;
	return 0;
}

static bool is_swap_pair(const struct disagreement *d)
{
	return (d->walk == PAGE_SWAPPED && d->portable == PAGE_SWAP_CACHE) ||
	       (d->walk == PAGE_SWAP_CACHE && d->portable == PAGE_SWAPPED);
}

/* mincore and cachestat look up the first page of a large swap entry for all of its pages. */
static int explain(struct prober *p, const struct probe_request *request, struct verification *v)
{
	int r = 0;

	v->unexplained = 0;
	for (size_t i = 0; i < v->n_items && r >= 0; i++) {
		struct disagreement *d = &v->items[i];
		struct explaining e = {d, 0};
		struct walk_range range = {
			.fd = request->fd, .first = d->first, .end = d->first + d->count};

		if (is_swap_pair(d))
			r = walk_careful(p, &range, look_for_siblings, &e);
		d->explained = e.siblings == d->count;
		v->unexplained += d->explained ? 0 : d->count;
	}
	return r;
}

int probe_verify(struct prober *p, const struct probe_request *request, struct snapshot *ret)
{
	struct verification v = {0};
	struct snapshot walk = {0};
	int r = ask_both(p, request, &walk, &v);

	for (int i = 1; i < VERIFY_TRIES && r >= 0 && v.n_items > 0; i++)
		r = ask_again(p, request, &v);
	if (r >= 0)
		r = explain(p, request, &v);
	if (r < 0) {
		verification_done(&v);
		snapshot_done(&walk);
		return r;
	}
	*ret = walk;
	v.done = true;
	ret->verification = v;
	return 0;
}
