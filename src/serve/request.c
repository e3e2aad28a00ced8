/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "serve/discard.h"
#include "serve/errors.h"
#include "serve/examine.h"
#include "serve/follow.h"
#include "serve/request-inside.h"
#include "serve/standing.h"
#include "util/util.h"

static void drop_descriptor(struct question *q)
{
	discard(q->fd);
	q->fd = -1;
}

void request_free(struct request *r)
{
	standing_free(r->standing);
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
		if (r->standing)
			answer_go_on_from(&r->answer, standing_told(r->standing));
		r->has_answer = true;
		r->error = 0;
		/* The loop has something to add first. */
		if (!result->error && method_wants_whole(r->question.method))
			continue;
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

	if (result)
		result->began = monotonic_ns();
	/* Nobody may wait any more; whoever does must not get what was not looked for. */
	if (result && stopped == -ETIME)
		errors_too_busy(result, (struct busy){BUSY_SCAN_SECONDS, t->stop.limit});
	else if (result && stopped < 0)
		errors_fail(result, stopped);
	else if (result)
		examine(w, &first->question, &access, s->all->history, result);
	access_done(&access);
	s->timed_out = result && result->error && stop_asked() == -ETIME;
	if (result) {
		result->took = monotonic_ns() - result->began;
		hold(s->all, first, result);
	}
	/* Not for a moment longer than it takes: it keeps the object's memory. */
	drop_descriptor(&first->question);
	answer_all(s, result);
}

static void run_more(struct task *t, struct worker *w)
{
	(void)w;
	make_replies((struct request *)t);
}

void request_go_on(struct request *r)
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
		request_go_on(r);
		return;
	}
	error = r->answer.result->error || r->answer.refused;
	if (r->standing && finished) {
		standing_answered(r->standing);
		return;
	}
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
		request_go_on(r);
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

/* What came back between looks only events tell, and these are the loop's. */
static void add_events(struct request *r)
{
	if (r->has_answer && !r->answer.result->error && method_wants_whole(r->question.method))
		followers_tell(r->all->followers, r, r->answer.result);
}

static void scan_done(struct task *t)
{
	struct scan *s = (struct scan *)t;
	struct request *r;

	s->all->n_cancelled += s->timed_out;
	while ((r = TAILQ_FIRST(&s->requests))) {
		TAILQ_REMOVE(&s->requests, r, link);
		r->scan = NULL;
		add_events(r);
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
	if (r->standing && !r->has_answer)
		standing_drained(r->standing);
	else if (!r->scan && !r->making)
		request_go_on(r);
}

void request_abandon(struct request *r)
{
	struct request *other;

	r->connection = NULL;
	if (r->standing)
		standing_quiet(r->standing);
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

/* The time runs from now on, wherever it is spent: clients give up after as long. */
static int set_deadline(struct scan *s, unsigned seconds)
{
	uint64_t usec = seconds * UINT64_C(1000000);

	s->task.stop.limit = seconds;
	s->task.stop.deadline = monotonic_ns() + usec * 1000;
	return sd_event_add_time_relative(s->all->event, &s->late, CLOCK_MONOTONIC, usec, 100000,
					  on_late, s);
}

static int begin(struct request *r, char *key)
{
	struct requests *all = r->all;
	struct scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct scan){
		.task = {.uid = r->peer.uid,
			 .privileged = r->privileged,
			 .goes_on = r->question.again,
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

int request_look(struct request *r, struct busy *ret)
{
	_cleanup_free_ char *key = request_key(r);
	int error;

	if (request_join(r, key)) {
		drop_descriptor(&r->question);
		return 0;
	}
	error = ret && is_full(r->all, r, ret) ? -EBUSY : begin(r, key);
	if (error < 0)
		return error;
	key = NULL;
	return 0;
}

/* Those that go on. */
static int make_standing(struct request *r)
{
	return method_goes_on(r->question.method) ? standing_new(r, &r->standing) : 0;
}

int request_new(struct requests *all, struct connection *c, struct question *q, struct busy *ret)
{
	struct request *r;
	int error = request_make(all, c, q, &r);

	if (error < 0) {
		drop_descriptor(q);
		question_done(q);
		return error;
	}
	c->call = r;
	error = make_standing(r);
	if (error >= 0)
		error = request_look(r, ret);
	if (error < 0) {
		c->call = NULL;
		request_free(r);
	}
	return error;
}

void request_stop(struct request *r)
{
	if (r->standing)
		standing_stop(r->standing);
}
