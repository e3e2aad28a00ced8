/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "discover/open.h"
#include "serve/follow-inside.h"
#include "util/util.h"
#include "view/inspect.h"

static bool is_same(const struct follower *f, int fd)
{
	struct identity id;

	return identity_of_fd(fd, &id) == 0 && identity_compare(&id, &f->identity) == 0;
}

/* Where it was the last time. Returns a descriptor or a negative errno. */
static int open_where_it_was(struct follower *f, struct worker *w, struct discovery *d)
{
	struct object *was = object_copy(f->was, FOLLOW_PLACES);
	_cleanup_close_ int fd = -1;
	int r = was ? discover_recalled(w->prober.caps, was, d) : -ENOMEM;

	if (r < 0)
		return r;
	fd = object_open(d, d->objects[0]);
	if (fd >= 0 && is_same(f, fd))
		return TAKE_FD(fd);
	discovery_done(d);
	*d = (struct discovery){.proc_fd = -1};
	return -ENOENT;
}

/* Among all that there are. */
static int open_anywhere(struct follower *f, struct worker *w, struct discovery *d)
{
	struct selector by_id = {.have_id = true, .id = f->was->id};
	struct discover_options how = {.way = w->iterators ? DISCOVER_AUTO : DISCOVER_PROC,
				       .iterators = w->iterators};
	int n, r = selector_discover(&by_id, &how, w->prober.caps, false, d);
	_cleanup_free_ struct object **objects = NULL;

	if (r < 0)
		return r;
	n = selector_match(&by_id, d, &objects);
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int fd = object_open(d, objects[i]);
		struct object *now;

		if (fd < 0 || !is_same(f, fd))
			continue;
		now = object_copy(objects[i], FOLLOW_PLACES);
		if (!now)
			return -ENOMEM;
		object_free(f->was);
		f->was = now;
		return TAKE_FD(fd);
	}
	return n < 0 ? n : -ENOENT;
}

static int look(struct follower *f, struct worker *w, const struct discovery *d, int fd)
{
	struct snapshot s = {0};
	struct generation *g;
	int r;

	/* A walk tells each page right at some time within it: that is all that is needed. */
	r = inspect_descriptor(&w->prober, d, f->was, fd, PROBE_ALL, w->prober.walker != NULL, &s);
	if (r < 0)
		return r;
	f->ended = monotonic_ns();
	f->inode = s.inode;
	g = generation_new(&s, f->began, f->ended);
	snapshot_done(&s);
	if (!g)
		return -ENOMEM;
	r = history_follow(f->history, &f->identity, f->keep, &f->witness, g);
	generation_unref(g);
	return r;
}

void follow_look(struct follower *f, struct worker *w)
{
	struct discovery d = {.proc_fd = -1};
	int fd;

	w->prober.choice = PROBE_AUTO;
	f->began = f->ended = monotonic_ns();
	fd = open_where_it_was(f, w, &d);
	if (fd < 0)
		fd = open_anywhere(f, w, &d);
	f->error = fd < 0 ? fd : look(f, w, &d, fd);
	closep(&fd);
	discovery_done(&d);
}
