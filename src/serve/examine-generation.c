/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "model/delta.h"
#include "serve/errors.h"
#include "serve/examine-inside.h"
#include "util/util.h"
#include "view/inspect.h"

/* Between two looks that did not agree: at first nothing, then up to this. */
#define SETTLE_WAIT_MAX_US 20000

/* When it was begun and ended: CLOCK_MONOTONIC, ns. */
struct look_times {
	uint64_t began;
	uint64_t ended;
};

static int look_once(struct examination *e, int fd, struct snapshot *ret, struct look_times *times)
{
	struct result *result = e->result;
	int r;

	times->began = monotonic_ns();
	r = inspect_descriptor(&e->worker->prober, &result->discovery, result->object, fd,
			       e->question->range, false, ret);
	times->ended = monotonic_ns();
	return r;
}

/* What changed at every reading has not come to rest, however alike two looks are. */
static bool agree(const struct snapshot *a, const struct snapshot *b)
{
	return delta_is_empty(a, b) && !((a->reasons | b->reasons) & SNAPSHOT_KEPT_MOVING);
}

static int wait_between(unsigned round)
{
	if (round > 0)
		usleep(MIN(100u << MIN(round, 8u), SETTLE_WAIT_MAX_US));
	return stop_asked();
}

/* Looks until two looks, one after the other, agree, or the time is over. The last one counts. */
static int settle(struct examination *e, int fd, struct snapshot *s, struct look_times *times)
{
	uint64_t until = monotonic_ns() + e->question->settle * UINT64_C(1000000);
	unsigned round = 0;

	do {
		struct snapshot again;
		int r = wait_between(round++);

		if (r >= 0)
			r = look_once(e, fd, &again, times);
		if (r < 0)
			return r;
		again.settled = agree(s, &again);
		snapshot_done(s);
		*s = again;
	} while (!s->settled && monotonic_ns() < until);
	return 0;
}

static enum history_keep how_to_keep(const struct examination *e)
{
	return e->access->privileged ? HISTORY_KEEP : HISTORY_KEEP_OF_OTHERS;
}

/* The snapshot becomes a generation; the result reads its map from there. */
static int remember(struct examination *e, const struct identity *id, struct snapshot *s,
		    const struct look_times *times)
{
	struct generation *g = generation_new(s, times->began, times->ended);
	int r;

	if (!g)
		return -ENOMEM;
	e->result->generation = g;
	e->result->snapshot = *s;
	e->result->snapshot.map = g->snapshot.map;
	*s = (struct snapshot){0};
	r = history_add(e->history, id, how_to_keep(e), g);
	e->result->snapshot.generation = g->number;
	e->result->identity = *id;
	return r;
}

/* What is to be compared with. False: it is gone, which the peer is told. */
static bool find_since(struct examination *e, const struct identity *id)
{
	const struct question *q = e->question;
	struct generation *since = NULL;
	struct history_bounds bounds;

	if (q->since == 0)
		return true;
	if (history_find(e->history, id, q->since, &since, &bounds) == 0 &&
	    delta_is_covered(&since->snapshot, q->range)) {
		e->result->since = since;
		return true;
	}
	generation_unref(since);
	errors_generation_gone(e->result, q->since, &bounds);
	return false;
}

int examine_pages(struct examination *e, int fd)
{
	struct snapshot s = {0};
	struct look_times times;
	struct identity id;
	int r = identity_of_fd(fd, &id);

	if (r < 0)
		return r;
	if (!find_since(e, &id))
		return 0;
	r = look_once(e, fd, &s, &times);
	if (r >= 0 && e->question->settle > 0)
		r = settle(e, fd, &s, &times);
	if (r >= 0)
		r = remember(e, &id, &s, &times);
	snapshot_done(&s);
	return r;
}

void examine_listed(struct examination *e, int fd, struct snapshot *s, uint64_t began)
{
	enum history_keep keep =
		e->question->method == METHOD_GET_OBJECT ? how_to_keep(e) : HISTORY_KEEP_IF_ROOM;
	struct generation *g;
	struct identity id;

	if (identity_of_fd(fd, &id) < 0)
		return;
	g = generation_new(s, began, monotonic_ns());
	if (g && history_add(e->history, &id, keep, g) == 0)
		s->generation = g->number;
	generation_unref(g);
}

int examine_monitored(int fd, struct listed *l, uint64_t began)
{
	int r = identity_of_fd(fd, &l->identity);

	if (r < 0)
		return r;
	l->generation = generation_new(&l->snapshot, began, monotonic_ns());
	return l->generation ? 0 : -ENOMEM;
}
