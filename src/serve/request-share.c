/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/generation.h"
#include "serve/request-inside.h"
#include "util/util.h"

/* Without asking the server of a file system, which may be dead. */
static int id_of_descriptor(int fd, struct object_id *ret)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &x) < 0)
		return -errno;
	*ret = (struct object_id){
		.dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.ino = x.stx_ino,
		.have_generation = true,
	};
	return generation_of_fd(fd, &ret->generation);
}

/*
 * Lists and views are each client's own; what a descriptor is of is part of what is asked. A look
 * that will be refused, for how the descriptor is open, is shared with nobody.
 */
char *request_key(const struct request *r)
{
	struct access access = {.peer = &r->peer, .privileged = r->privileged};
	const struct question *q = &r->question;
	char id[OBJECT_ID_MAX], *key, *whole;
	struct object_id passed;
	enum access_rule rule;

	if (access_question(&access, q, &rule) < 0)
		return NULL;
	if (q->method != METHOD_SUMMARIZE && q->method != METHOD_CLASSIFY &&
	    q->method != METHOD_LOCATE && q->method != METHOD_SUBSCRIBE)
		return NULL;
	if (!q->have_passed)
		return question_key(q);
	if (id_of_descriptor(q->fd, &passed) < 0)
		return NULL;
	key = question_key(q);
	if (!key || asprintf(&whole, "%s|%s", object_id_format(&passed, true, id), key) < 0)
		whole = NULL;
	free(key);
	return whole;
}

/* May the second be told all that the first may be? */
static bool same_rights(const struct request *a, const struct request *b)
{
	const struct peer *p = &a->peer, *q = &b->peer;

	if (a->privileged || b->privileged)
		return a->privileged && b->privileged;
	return p->uid == q->uid && p->gid == q->gid && p->n_groups == q->n_groups &&
	       memcmp(p->groups, q->groups, p->n_groups * sizeof(*p->groups)) == 0;
}

/* Who joins waits as long as who came first, and must not be late for that. */
static bool has_time(const struct scan *s)
{
	uint64_t half = s->task.stop.limit * UINT64_C(500000000);

	return monotonic_ns() + half < s->task.stop.deadline;
}

bool request_join(struct request *r, const char *key)
{
	struct requests *all = r->all;
	struct scan *s;

	TAILQ_FOREACH (s, &all->waiting, link)
		if (key && strcmp(s->key, key) == 0 && has_time(s) &&
		    same_rights(TAILQ_FIRST(&s->requests), r))
			break;
	if (!key || !s || atomic_load(&s->task.stop.cancelled) ||
	    !pool_lock_waiting(all->pool, &s->task))
		return false;
	r->scan = s;
	TAILQ_INSERT_TAIL(&s->requests, r, link);
	pool_unlock(all->pool);
	all->n_shared++;
	return true;
}
