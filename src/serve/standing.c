/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "serve/errors.h"
#include "serve/request-inside.h"
#include "serve/standing.h"
#include "util/util.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/*
 * Looks without a hint take 2% of a processor at most, hinted ones and those of Monitor 5%; and
 * those without a hint of all who go on together 10%: the more they are, the longer each waits, by
 * the length of its own looks only, so that no other's long ones are in its way.
 */
#define QUIET_FACTOR 50
#define HINTED_FACTOR 20
#define ALL_FACTOR 10

/* However many they are: clients give up after 45 s without a word. */
#define PUT_OFF_MAX (40 * NS_PER_SECOND)

/* Looks may come so much later, for those of several to be one. */
#define TIMER_SLACK_USEC 10000

struct standing {
	struct request *request;
	struct told told;
	sd_event_source *timer; /* the next look */
	sd_event_source *heart; /* when something is to be said, if only that all is as it was */
	struct watch *watch;    /* NULL: nothing hints at changes */
	uint64_t least;         /* between looks without a hint; this and what follows: ns */
	uint64_t batch;         /* between two batches of changes */
	uint64_t heartbeat;     /* without a word */
	uint64_t looked;        /* CLOCK_MONOTONIC: when the last look was over */
	uint64_t took;          /* that it took */
	uint64_t sent;          /* CLOCK_MONOTONIC: when something was said last */
	uint64_t batched;       /* when changes were */
	size_t held;            /* bytes, entered for what was told */
	unsigned failed;        /* looks in a row */
	bool hinted;
	bool due; /* a look is, once the client has read what there is */
	bool stopping;
};

uint64_t standing_interval(uint64_t took, uint64_t least)
{
	return MAX(least, took * QUIET_FACTOR);
}

struct told *standing_told(struct standing *s)
{
	return &s->told;
}

static bool is_monitor(const struct standing *s)
{
	return s->request->question.method == METHOD_MONITOR;
}

/* No look is under way, and all about the last one was said. */
static bool is_resting(const struct standing *s)
{
	return !s->request->scan && !s->request->has_answer;
}

static int set_timer(sd_event_source *timer, uint64_t at)
{
	int r = sd_event_source_set_time(timer, at / 1000);

	return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* How long after a look it is for all the others. The privileged count themselves only. */
static uint64_t share_time(const struct standing *s)
{
	const struct request *r = s->request;

	return MIN(s->took * ALL_FACTOR * r->all->n_standing[r->privileged], PUT_OFF_MAX);
}

static int schedule(struct standing *s)
{
	uint64_t gap = standing_interval(s->took, s->least) << MIN(s->failed, 5u);
	uint64_t shared = s->looked + share_time(s), soon = s->looked + s->took * HINTED_FACTOR;
	uint64_t at = MAX(s->looked + gap, shared);

	/* Replies come at intervals, however long looks take; they are many looks. */
	if (is_monitor(s))
		at = MAX(s->looked - s->took + s->least, MAX(soon, shared));
	if (s->hinted)
		at = MIN(at, MAX(s->batched + s->batch, soon));
	return set_timer(s->timer, at);
}

/* Nothing can be done for the client any more. */
static void give_up(struct standing *s)
{
	struct connection *c = s->request->connection;

	c->call = NULL;
	request_free(s->request);
	connection_end(c, "memory was short");
}

/* The last word; the error is in the replies. */
static void end(struct standing *s, struct reply_list *replies)
{
	struct request *r = s->request;
	struct requests *all = r->all;
	struct connection *c = r->connection;
	struct reply_list last = STAILQ_HEAD_INITIALIZER(last);

	STAILQ_CONCAT(&last, replies);
	c->call = NULL;
	request_free(r);
	if (!connection_send(c, &last))
		return;
	all->answered(c, true);
	connection_next(c);
}

static void end_by(struct standing *s, const char *error, struct json_object *parameters)
{
	struct reply *reply = answer_reply(error, parameters, s->request->message_bytes);
	struct reply_list list = STAILQ_HEAD_INITIALIZER(list);

	if (!reply) {
		give_up(s);
		return;
	}
	STAILQ_INSERT_TAIL(&list, reply, link);
	end(s, &list);
}

static void tell_level(struct standing *s)
{
	struct watches *all = s->request->all->watches;

	s->told.level = watches_level(all);
	if (!is_monitor(s) && s->told.begun && !s->watch)
		s->told.level = EVENTS_NONE;
	s->told.lost = watches_lost(all);
}

static void look(struct standing *s)
{
	s->due = s->hinted = false;
	if (s->watch)
		watch_take(s->watch);
	told_count_events(&s->told);
	tell_level(s);
	if (request_look(s->request, NULL) < 0)
		give_up(s);
}

/* No batch is made before the one before was read: what changes meanwhile comes at once then. */
static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
	struct standing *s = context;

	(void)source;
	(void)usec;
	if (STAILQ_EMPTY(&s->request->connection->replies))
		look(s);
	else
		s->due = true;
	return 0;
}

void standing_drained(struct standing *s)
{
	if (s->due && is_resting(s))
		look(s);
}

/* Who is in the middle of being told something needs no heartbeat. Returns false if it ended. */
static bool say(struct standing *s, enum told_event event)
{
	struct request *r = s->request;

	s->sent = monotonic_ns();
	/* A worker that has a look under way reads what is told. */
	if (!r->scan)
		tell_level(s);
	return connection_send_one(r->connection,
				   answer_notice(&s->told, event, s->sent, r->message_bytes));
}

static int on_heart(sd_event_source *source, uint64_t usec, void *context)
{
	struct standing *s = context;
	struct request *r = s->request;
	bool quiet = STAILQ_EMPTY(&r->connection->replies) && (r->scan || is_resting(s));

	(void)usec;
	if (s->told.generation && quiet && monotonic_ns() >= s->sent + s->heartbeat &&
	    !say(s, TOLD_HEARTBEAT))
		return 0;
	return set_timer(source, MAX(s->sent, monotonic_ns() - s->heartbeat / 2) + s->heartbeat);
}

static void on_hint(void *context)
{
	struct standing *s = context;

	s->hinted = true;
	if (is_resting(s) && !s->due)
		schedule(s);
}

/* Not the address of another object: the last look has confirmed it. */
static void watch_object(struct standing *s, uint64_t inode)
{
	if (s->watch && watch_inode(s->watch) == inode)
		return;
	s->watch = watch_free(s->watch);
	(void)watch_new(s->request->all->watches, inode, on_hint, s, &s->watch);
}

/* From now on it is this object, wherever what was selected leads. */
static int remember_object(struct question *q, const struct result *result)
{
	struct object *was;

	if (result->recalled)
		return 0;
	was = object_copy(result->object, TOLD_PLACES);
	if (!was)
		return -ENOMEM;
	object_free(q->was);
	q->was = was;
	q->identity = result->identity;
	q->again = true;
	q->have_passed = false;
	q->selector = (struct selector){.have_id = true, .id = was->id, .path = q->path};
	return 0;
}

static void give_back(struct standing *s)
{
	if (s->held > 0)
		ledger_give(&s->request->all->held, s->request->peer.uid, s->held);
	s->held = 0;
}

static int hold(struct standing *s, size_t bytes, struct busy *ret)
{
	struct request *r = s->request;
	size_t total, of_user;

	give_back(s);
	if (ledger_take(&r->all->held, r->peer.uid, bytes, &total, &of_user) < 0)
		return -ENOMEM;
	s->held = bytes;
	return ledger_is_passed(r->privileged, total, of_user, ret) ? -EBUSY : 0;
}

static int remember_many(struct standing *s, struct busy *ret)
{
	struct request *r = s->request;
	const struct result *result = r->answer.result;
	ssize_t bytes = told_remember(&s->told, r->all->watches, result);

	s->told.replied = result->began;
	r->question.again = true;
	return bytes < 0 ? (int)bytes : hold(s, (size_t)bytes, ret);
}

/* What was told is kept, for the changes since. Returns 0, -EBUSY or -ENOMEM. */
static int remember_told(struct standing *s, struct generation *g, struct busy *ret)
{
	if (g == s->told.generation)
		return 0;
	generation_unref(s->told.generation);
	s->told.generation = generation_ref(g);
	return hold(s, g->bytes, ret);
}

static int remember(struct standing *s, struct busy *ret)
{
	struct request *r = s->request;
	struct result *result = r->answer.result;
	int error = remember_object(&r->question, result);

	object_id_format(&result->object->id, true, s->told.object);
	s->told.looked = result->began;
	s->told.took = result->took;
	watch_object(s, result->snapshot.inode);
	/* Where nothing was told, changes go on being those since what was. */
	if (error >= 0 && !STAILQ_EMPTY(&r->answer.replies))
		error = remember_told(s, result->generation, ret);
	return error;
}

/* It may be otherwise the next time. */
static bool is_passing(const struct standing *s, const char *error)
{
	return s->told.begun &&
	       (strcmp(error, ERROR_TOO_BUSY) == 0 || strcmp(error, ERROR_SCAN_TIMED_OUT) == 0 ||
		strcmp(error, ERROR_OBJECT_BUSY) == 0);
}

static bool send_replies(struct standing *s)
{
	struct request *r = s->request;
	bool first = !s->told.begun, any = !STAILQ_EMPTY(&r->answer.replies);

	s->told.begun = true;
	if (any)
		s->sent = s->batched = monotonic_ns();
	if (!connection_send(r->connection, &r->answer.replies))
		return false;
	return !first || is_monitor(s) || say(s, TOLD_READY);
}

static void rest(struct standing *s)
{
	struct request *r = s->request;

	answer_done(&r->answer);
	r->has_answer = false;
	if (s->stopping)
		end_by(s, ERROR_STOPPING, NULL);
	else if (schedule(s) < 0)
		give_up(s);
}

void standing_answered(struct standing *s)
{
	struct request *r = s->request;
	struct answer *a = &r->answer;
	struct busy busy;
	int error = 0;

	s->looked = monotonic_ns();
	s->took = a->result->took;
	if (a->refused || (a->result->error && !is_passing(s, a->result->error))) {
		end(s, &a->replies);
		return;
	}
	s->failed = a->result->error ? s->failed + 1 : 0;
	if (a->result->error)
		answer_drop(a);
	else
		error = is_monitor(s) ? remember_many(s, &busy) : remember(s, &busy);
	if (error == -EBUSY)
		end_by(s, ERROR_TOO_BUSY, error_busy(busy));
	else if (error < 0)
		give_up(s);
	else if (send_replies(s))
		rest(s);
}

void standing_quiet(struct standing *s)
{
	s->timer = sd_event_source_disable_unref(s->timer);
	s->heart = sd_event_source_disable_unref(s->heart);
	s->watch = watch_free(s->watch);
}

void standing_stop(struct standing *s)
{
	s->stopping = true;
	if (is_resting(s))
		end_by(s, ERROR_STOPPING, NULL);
}

struct standing *standing_free(struct standing *s)
{
	if (!s)
		return NULL;
	standing_quiet(s);
	give_back(s);
	told_forget(&s->told);
	s->request->all->n_standing[s->request->privileged]--;
	free(s);
	return NULL;
}

int standing_new(struct request *r, struct standing **ret)
{
	struct standing *s = calloc(1, sizeof(*s));
	const struct question *q = &r->question;
	unsigned batches = r->all->batches;
	int error;

	if (!s)
		return -ENOMEM;
	if (q->batches > 0)
		batches = MIN(batches, q->batches);
	*s = (struct standing){
		.request = r,
		.least = q->method == METHOD_MONITOR ? q->interval * UINT64_C(1000000)
						     : TOLD_INTERVAL,
		.batch = NS_PER_SECOND / batches,
		.heartbeat = q->heartbeat * NS_PER_SECOND,
		.sent = monotonic_ns(),
	};
	r->all->n_standing[r->privileged]++;
	error = sd_event_add_time(r->all->event, &s->timer, CLOCK_MONOTONIC, UINT64_MAX,
				  TIMER_SLACK_USEC, on_time, s);
	if (error >= 0)
		error = sd_event_add_time(r->all->event, &s->heart, CLOCK_MONOTONIC,
					  (s->sent + s->heartbeat) / 1000, TIMER_SLACK_USEC,
					  on_heart, s);
	tell_level(s);
	if (error < 0)
		standing_free(s);
	else
		*ret = s;
	return error;
}
