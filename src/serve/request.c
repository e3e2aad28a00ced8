/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/generation.h"
#include "serve/discard.h"
#include "serve/errors.h"
#include "serve/examine.h"
#include "serve/request.h"
#include "util/util.h"

/* A look at something, and who waits for it. The first of them has the question. */
struct scan {
	struct task task;
	TAILQ_ENTRY(scan) link; /* in the waiting ones */
	bool listed;
	bool timed_out;
	sd_event_source *late; /* when its time is over */
	struct requests *all;
	char *key;                      /* NULL: not to be shared */
	TAILQ_HEAD(, request) requests; /* once it has begun it does not change */
};

/* One call. While it streams it is a task of its own, in which further replies are made. */
struct request {
	struct task task;
	TAILQ_ENTRY(request) link;
	struct requests *all;
	struct connection *connection; /* NULL: gone. In the loop only */
	struct scan *scan;             /* NULL: that is done */
	bool making;                   /* the task is under way */
	struct peer peer;
	bool privileged;
	size_t message_bytes; /* limits, as they were when the call came */
	size_t batch_bytes;
	struct question question;
	struct answer answer;
	bool has_answer;
	int error; /* replies could not be made */
};

static void drop_descriptor(struct question *q)
{
	discard(q->fd);
	q->fd = -1;
}

static void request_free(struct request *r)
{
	drop_descriptor(&r->question);
	if (r->has_answer)
		answer_done(&r->answer);
	question_done(&r->question);
	peer_done(&r->peer);
	free(r);
}

/* What clients leave unread is theirs to read, but they must not keep all of the memory for it. */
static int hold_replies(struct request *r)
{
	struct ledger *held = &r->all->held;
	size_t total = 0, of_user = 0;
	struct reply *reply;
	struct busy busy;

	STAILQ_FOREACH (reply, &r->answer.replies, link)
		if (reply_hold(reply, held, r->peer.uid, &total, &of_user) < 0)
			return -ENOMEM;
	if (!ledger_is_passed(r->privileged, total, of_user, &busy))
		return 0;
	return answer_refuse(&r->answer,
			     answer_reply(ERROR_TOO_BUSY, error_busy(busy), r->message_bytes));
}

/* Half of what may wait for the client; the other half is made while it reads. */
static void make_replies(struct request *r)
{
	r->answer.n_bytes = 0;
	r->error = answer_make(&r->answer, r->batch_bytes);
	if (r->error >= 0)
		r->error = hold_replies(r);
}

/* Results are kept until all of them has been read, and clients may take their time. */
static void hold(struct requests *all, const struct request *r, struct result *result)
{
	struct busy busy;
	size_t total, of_user;

	if (result_hold(result, &all->held, r->peer.uid, &total, &of_user) < 0) {
		errors_fail(result, -ENOMEM);
		return;
	}
	if (ledger_is_passed(r->privileged, total, of_user, &busy))
		errors_too_busy(result, busy);
}

/* result: NULL: memory was short. Taken over. */
static void answer_all(struct scan *s, struct result *result)
{
	struct request *r;

	TAILQ_FOREACH (r, &s->requests, link) {
		r->error = -ENOMEM;
		if (!result)
			continue;
		answer_init(&r->answer, &r->question, result, r->message_bytes);
		r->has_answer = true;
		r->error = 0;
		/*
		 * There may be a thousand others, some gone meanwhile. Theirs are made one after
		 * the other, each off before the next, when that a look took place has been told.
		 * Errors are short, and are to be told even if no worker is free.
		 */
		if (result->error || r == TAILQ_FIRST(&s->requests))
			make_replies(r);
	}
	result_unref(result);
}

static void run_scan(struct task *t, struct worker *w)
{
	struct scan *s = (struct scan *)t;
	struct request *first = TAILQ_FIRST(&s->requests);
	struct access access = {
		.peer = &first->peer,
		.privileged = first->privileged,
	};
	struct result *result = result_new();
	int stopped = stop_asked();

	/* Nobody may wait any more; whoever does must not get what was not looked for. */
	if (result && stopped == -ETIME)
		errors_too_busy(result, (struct busy){BUSY_SCAN_SECONDS, t->stop.limit});
	else if (result && stopped < 0)
		errors_fail(result, stopped);
	else if (result)
		examine(w, &first->question, &access, s->all->history, result);
	access_done(&access);
	s->timed_out = result && result->error && stop_asked() == -ETIME;
	if (result)
		hold(s->all, first, result);
	/* Not for a moment longer than it takes: it keeps the object's memory. */
	drop_descriptor(&first->question);
	answer_all(s, result);
}

static void run_more(struct task *t, struct worker *w)
{
	(void)w;
	make_replies((struct request *)t);
}

static void go_on(struct request *r)
{
	r->making = true;
	pool_submit(r->all->pool, &r->task);
}

/* Replies have been made: off with them. */
static void deliver(struct request *r)
{
	struct connection *c = r->connection;
	bool finished = r->answer.finished, error, alive;

	if (!c) {
		request_free(r);
		return;
	}
	if (r->error < 0) {
		c->call = NULL;
		request_free(r);
		connection_end(c, "memory was short");
		return;
	}
	/* Who has joined: no reply has been made yet. */
	if (!finished && STAILQ_EMPTY(&r->answer.replies)) {
		go_on(r);
		return;
	}
	error = r->answer.result->error || r->answer.refused;
	if (finished)
		c->call = NULL;
	/* If that ends the connection, a request that goes on has been abandoned, and is gone. */
	alive = connection_send(c, &r->answer.replies);
	if (finished && alive) {
		r->all->answered(c, error);
		connection_next(c);
	}
	if (finished)
		request_free(r);
	else if (alive && STAILQ_EMPTY(&c->replies))
		go_on(r);
}

static void more_done(struct task *t)
{
	struct request *r = (struct request *)t;

	r->making = false;
	deliver(r);
}

static void unlist(struct scan *s)
{
	if (s->listed)
		TAILQ_REMOVE(&s->all->waiting, s, link);
	s->listed = false;
}

static void scan_free(struct scan *s)
{
	unlist(s);
	sd_event_source_disable_unref(s->late);
	free(s->key);
	free(s);
}

static void scan_done(struct task *t)
{
	struct scan *s = (struct scan *)t;
	struct request *r;

	s->all->n_cancelled += s->timed_out;
	while ((r = TAILQ_FIRST(&s->requests))) {
		TAILQ_REMOVE(&s->requests, r, link);
		r->scan = NULL;
		deliver(r);
	}
	scan_free(s);
}

/* Clients wait for an answer, not for a worker. One that has begun sees by itself that it is late.
 */
static int on_late(sd_event_source *source, uint64_t usec, void *context)
{
	struct scan *s = context;
	struct result *result;

	(void)source;
	(void)usec;
	if (!pool_withdraw(s->all->pool, &s->task))
		return 0;
	s->timed_out = true;
	result = result_new();
	if (result)
		errors_too_busy(result, (struct busy){BUSY_SCAN_SECONDS, s->task.stop.limit});
	answer_all(s, result);
	scan_done(&s->task);
	return 0;
}

/* The clients are still there, and are about to be sent away. */
static void drop_request(struct request *r)
{
	if (r->connection)
		r->connection->call = NULL;
	request_free(r);
}

static void drop_more(struct task *t)
{
	drop_request((struct request *)t);
}

static void drop_scan(struct task *t)
{
	struct scan *s = (struct scan *)t;
	struct request *r;

	while ((r = TAILQ_FIRST(&s->requests))) {
		TAILQ_REMOVE(&s->requests, r, link);
		drop_request(r);
	}
	scan_free(s);
}

void request_drained(struct request *r)
{
	if (!r->scan && !r->making)
		go_on(r);
}

void request_abandon(struct request *r)
{
	struct request *other;

	r->connection = NULL;
	if (!r->scan) {
		if (!r->making || pool_withdraw(r->all->pool, &r->task))
			request_free(r);
		return;
	}
	TAILQ_FOREACH (other, &r->scan->requests, link)
		if (other->connection)
			return;
	r->all->n_cancelled++;
	atomic_store(&r->scan->task.stop.cancelled, true);
	if (pool_withdraw(r->all->pool, &r->scan->task))
		drop_scan(&r->scan->task);
}

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
static char *make_key(const struct request *r)
{
	struct access access = {.peer = &r->peer, .privileged = r->privileged};
	const struct question *q = &r->question;
	char id[OBJECT_ID_MAX], *key, *whole;
	struct object_id passed;
	enum access_rule rule;

	if (access_question(&access, q, &rule) < 0)
		return NULL;
	if (q->method != METHOD_SUMMARIZE && q->method != METHOD_CLASSIFY &&
	    q->method != METHOD_LOCATE)
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

/* A look that has not begun, at the same, for somebody with the same rights. */
static bool join(struct requests *all, struct request *r, const char *key)
{
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

/* The time runs from now on, wherever it is spent: clients give up after as long. */
static int set_deadline(struct scan *s, unsigned seconds)
{
	uint64_t usec = seconds * UINT64_C(1000000);

	s->task.stop.limit = seconds;
	s->task.stop.deadline = monotonic_ns() + usec * 1000;
	return sd_event_add_time_relative(s->all->event, &s->late, CLOCK_MONOTONIC, usec, 100000,
					  on_late, s);
}

static int begin(struct requests *all, struct request *r, char *key)
{
	struct scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct scan){
		.task = {.uid = r->peer.uid,
			 .privileged = r->privileged,
			 .run = run_scan,
			 .done = scan_done,
			 .drop = drop_scan},
		.all = all,
	};
	if (set_deadline(s, all->scan_seconds) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->key = key;
	TAILQ_INIT(&s->requests);
	TAILQ_INSERT_TAIL(&s->requests, r, link);
	r->scan = s;
	s->listed = key;
	/* Newest first: those of the same key that are older have begun. */
	if (key)
		TAILQ_INSERT_HEAD(&all->waiting, s, link);
	all->n_scans++;
	pool_submit(all->pool, &s->task);
	return 0;
}

static int request_make(struct requests *all, struct connection *c, struct question *q,
			struct request **ret)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct request){
		.task = {.uid = c->peer.uid,
			 .goes_on = true,
			 .run = run_more,
			 .done = more_done,
			 .drop = drop_more},
		.all = all,
		.connection = c,
		.privileged = access_is_privileged(&all->policy, &c->peer),
		.message_bytes = all->message_bytes,
		.batch_bytes = all->queued_bytes / 2,
		.question = {.fd = -1},
	};
	if (peer_copy(&c->peer, &r->peer) < 0) {
		free(r);
		return -ENOMEM;
	}
	r->task.privileged = r->privileged;
	r->question = *q;
	*ret = r;
	return 0;
}

/*
 * Others than those whom the service is there for leave a quarter of the room to these, and each of
 * them takes half of it at most: nobody can keep all the rest out.
 */
static bool is_full(const struct requests *all, const struct request *r, struct busy *ret)
{
	size_t room = all->queued_scans, of_user;
	size_t n = pool_count_waiting(all->pool, r->peer.uid, &of_user);

	if (n >= room)
		*ret = (struct busy){BUSY_QUEUED_SCANS, room};
	else if (!r->privileged && n >= room - room / 4)
		*ret = (struct busy){BUSY_QUEUED_SCANS_OF_OTHERS, room - room / 4};
	else if (!r->privileged && of_user >= room - room / 2)
		*ret = (struct busy){BUSY_QUEUED_SCANS_OF_USER, room - room / 2};
	else
		return false;
	return true;
}

int request_new(struct requests *all, struct connection *c, struct question *q, struct busy *ret)
{
	_cleanup_free_ char *key = NULL;
	struct request *r;
	int error = request_make(all, c, q, &r);

	if (error < 0) {
		drop_descriptor(q);
		question_done(q);
		return error;
	}
	c->call = r;
	key = make_key(r);
	if (join(all, r, key)) {
		drop_descriptor(&r->question);
		return 0;
	}
	error = is_full(all, r, ret) ? -EBUSY : begin(all, r, key);
	if (error < 0) {
		c->call = NULL;
		request_free(r);
		return error;
	}
	key = NULL;
	return 0;
}
