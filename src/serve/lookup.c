/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "serve/lookup.h"
#include "util/stop.h"
#include "util/util.h"

#define STACK_BYTES (256 << 10)

/* How long to wait for one's turn: to look at a path takes microseconds, unless it takes forever.
 */
#define TURN_NS UINT64_C(1000000000)
#define END_NS UINT64_C(4000000000)

/* How often who waits looks whether to go on. */
#define SLICE_NS 50000000

struct lookup {
	LIST_ENTRY(lookup) link;
	char *path;
	struct peer peer; /* a copy: who asked may be gone */
	bool privileged;
	bool done; /* from here on under the lock */
	bool abandoned;
	int result;
	struct target target; /* if result is 0 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(, lookup) under_way = LIST_HEAD_INITIALIZER(under_way);

static void lookup_free(struct lookup *l)
{
	target_done(&l->target);
	peer_done(&l->peer);
	free(l->path);
	free(l);
}

static bool has_room(const struct lookup *l)
{
	unsigned max = l->privileged ? LOOKUPS_PRIVILEGED_MAX : LOOKUPS_OTHERS_MAX, n = 0;
	const struct lookup *other;

	LIST_FOREACH(other, &under_way, link)
	{
		if (other->privileged != l->privileged)
			continue;
		if (!l->privileged && other->peer.uid == l->peer.uid)
			return false;
		n++;
	}
	return n < max;
}

static void wait_a_slice(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
}

static int await_turn(const struct lookup *l)
{
	uint64_t limit = monotonic_ns() + TURN_NS;
	int r = 0;

	while (!has_room(l)) {
		if (monotonic_ns() >= limit)
			return -EUSERS;
		wait_a_slice();
		r = stop_asked();
		if (r < 0)
			return r;
	}
	return 0;
}

/* It is a worker that waits: for others, not as long as looks may take. */
static int await_end(const struct lookup *l)
{
	uint64_t limit = monotonic_ns() + END_NS;

	while (!l->done) {
		int r;

		if (!l->privileged && monotonic_ns() >= limit)
			return -EUSERS;
		wait_a_slice();
		r = stop_asked();
		if (r < 0 && !l->done)
			return r;
	}
	return 0;
}

/* Paths are others' to follow with their own rights; the service may go everywhere. */
static int find(const struct lookup *l, struct target *ret)
{
	int fd;

	if (l->privileged)
		return target_find(l->path, ret);
	fd = access_path(&l->peer, l->path);
	return fd < 0 ? fd : target_of(fd, ret);
}

static void *look(void *context)
{
	struct target target = {.fd = -1};
	struct lookup *l = context;
	bool abandoned;
	int r = find(l, &target);

	pthread_mutex_lock(&lock);
	LIST_REMOVE(l, link);
	l->target = target;
	l->result = r;
	l->done = true;
	abandoned = l->abandoned;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	if (abandoned)
		lookup_free(l);
	return NULL;
}

/* A worker's thread has all signals blocked, and so has its child. */
static int start(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&thread, &attr, look, l);
	pthread_attr_destroy(&attr);
	if (r == 0)
		LIST_INSERT_HEAD(&under_way, l, link);
	/* So many threads are there only if many of them do not come back. */
	return r == EAGAIN ? -EUSERS : -r;
}

/* Under the lock. Returns 0: it is done, or the error of waiting; *l is NULL: it goes by itself. */
static int run(struct lookup **l)
{
	int r = await_turn(*l);

	if (r >= 0)
		r = start(*l);
	if (r < 0)
		return r;
	r = await_end(*l);
	if (r < 0) {
		(*l)->abandoned = true;
		*l = NULL;
	}
	return r;
}

int lookup_find(void *context, const char *path, struct target *ret)
{
	const struct access *a = context;
	struct lookup *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	*l = (struct lookup){
		.path = strdup(path),
		.privileged = a->privileged,
		.target = {.fd = -1},
	};
	r = l->path ? peer_copy(a->peer, &l->peer) : -ENOMEM;
	pthread_mutex_lock(&lock);
	if (r >= 0)
		r = run(&l);
	pthread_mutex_unlock(&lock);
	if (!l)
		return r;
	if (r >= 0)
		r = l->result;
	if (r >= 0) {
		*ret = l->target;
		l->target = (struct target){.fd = -1};
	}
	lookup_free(l);
	return r;
}
