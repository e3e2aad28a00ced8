/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Worker threads, so that no look at an object holds the event loop up. What they do are tasks,
 * taken in turn from the users that wait, in the order in which each user's came. What a task has
 * done the loop learns in the loop.
 */

#include <pthread.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "discover/iterate.h"
#include "probe/prober.h"
#include "util/stop.h"

/* What a worker has for itself: a prober serves one request at a time. */
struct worker {
	struct pool *pool;
	pthread_t thread;
	bool started;
	struct task *task; /* that it has; under the pool's lock */
	struct prober prober;
	struct iterators *iterators; /* NULL: not to be had */
};

/* Part of what is to be done; owned by whoever submits it until done() is called. */
struct task {
	TAILQ_ENTRY(task) link;
	uid_t uid; /* on whose behalf */
	bool privileged;
	struct stop stop;
	bool started;                                  /* under the pool's lock */
	void (*run)(struct task *t, struct worker *w); /* in a worker's thread */
	void (*done)(struct task *t);                  /* in the loop; may free it */
	void (*drop)(struct task *t); /* instead of done(), when the pool goes: frees it */
};

TAILQ_HEAD(task_list, task);

struct pool;

/*
 * Loads n probers for this choice. caps: borrowed. Returns 0 or a negative errno; that there is no
 * walk is no error.
 */
int pool_new(sd_event *event, const struct kcaps *caps, enum probe_choice choice, unsigned n,
	     struct pool **ret);
/* Starts as many threads: nothing is loaded afterwards. Once. Returns 0 or a negative errno. */
int pool_start(struct pool *p);
/* Gives up what is under way, and drops that and what still waits. NULL is fine; returns NULL. */
struct pool *pool_free(struct pool *p);

/* Begins once a worker is free. */
void pool_submit(struct pool *p, struct task *t);

/* What is done between the two happens before the task begins, if it has not. */
bool pool_lock_waiting(struct pool *p, const struct task *t); /* false: it has, and no lock */
void pool_unlock(struct pool *p);
/* The caller has it back. False: it has begun, and will be done. */
bool pool_withdraw(struct pool *p, struct task *t);

/* Gives up all that has been submitted, also what has not begun. It is done all the same. */
void pool_cancel(struct pool *p);

/* Submitted and not done yet. */
size_t pool_count(const struct pool *p);
/* Of these, how many no worker has begun yet; and how many of those are one user's. */
size_t pool_count_waiting(struct pool *p, uid_t uid, size_t *ret_of_user);
unsigned pool_workers(const struct pool *p);
/* A prober to ask what there is: only before the first task is submitted. */
struct prober *pool_prober(struct pool *p);
