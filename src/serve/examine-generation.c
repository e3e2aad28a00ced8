/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "model/delta.h"
#include "serve/errors.h"
#include "serve/examine-inside.h"
#include "util/util.h"
#include "view/inspect.h"

static enum history_keep how_to_keep(const struct examination *e)
{
	return e->access->privileged ? HISTORY_KEEP : HISTORY_KEEP_OF_OTHERS;
}

/* The snapshot becomes a generation; the result reads its map from there. */
static int remember(struct examination *e, const struct identity *id, struct snapshot *s,
		    const struct inspection *look)
{
	struct generation *g = generation_new(s, look->began, look->ended);
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
	struct inspection look = {
		.prober = &e->worker->prober,
		.discovery = &e->result->discovery,
		.object = e->result->object,
		.fd = fd,
		.range = method_wants_whole(e->question->method) ? PROBE_ALL : e->question->range,
		.settle = e->question->settle,
	};
	struct snapshot s = {0};
	struct identity id;
	int r = identity_of_fd(fd, &id);

	if (r < 0)
		return r;
	if (!find_since(e, &id))
		return 0;
	r = inspect_pages(&look, &s);
	if (r >= 0)
		r = remember(e, &id, &s, &look);
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
