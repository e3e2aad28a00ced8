/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "serve/follow-inside.h"
#include "serve/request-inside.h"
#include "serve/standing.h"
#include "util/util.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/* How long an object is followed after a call: twice the age that was asked about, within these. */
#define LEASE_SECONDS_MIN 60
#define LEASE_SECONDS_MAX 3600

/* Objects that are followed, in all and for one user other than root and the group. */
#define FOLLOWERS_MAX 256
#define FOLLOWERS_OF_USER_MAX 8

/* Ranges that went out between two looks, 1 MiB: with more, it is as if some were lost. */
#define OUTS_MAX (UINT64_C(1) << 16)

/* Looks that fail in a row until the object is given up. */
#define FAILED_MAX 30

/* A second between two looks, or more: two percent of a processor; all of them take ten. */
#define ALL_FACTOR 10
#define TIMER_SLACK_USEC 50000

struct followers {
	struct requests *requests;
	LIST_HEAD(, follower) list;
	size_t n;
	bool stopped;
	void (*changed)(void *context);
	void *context;
};

int followers_new(struct requests *requests, struct followers **ret)
{
	struct followers *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->requests = requests;
	LIST_INIT(&all->list);
	*ret = all;
	return 0;
}

size_t followers_count(const struct followers *all)
{
	return all->n;
}

void followers_on_change(struct followers *all, void (*changed)(void *context), void *context)
{
	all->changed = changed;
	all->context = context;
}

static void follower_free(struct follower *f)
{
	struct followers *all = f->all;

	LIST_REMOVE(f, link);
	all->n--;
	history_unfollow(all->requests->history, &f->identity);
	sd_event_source_disable_unref(f->timer);
	watch_free(f->watch);
	page_ranges_done(&f->outs);
	page_ranges_done(&f->told);
	object_free(f->was);
	free(f);
	if (all->n == 0 && all->changed)
		all->changed(all->context);
}

/* Not while the worker has it. */
static void end(struct follower *f)
{
	f->ending = true;
	if (!f->looking)
		follower_free(f);
}

void followers_stop(struct followers *all)
{
	struct follower *f, *next;

	all->stopped = true;
	for (f = LIST_FIRST(&all->list); f; f = next) {
		next = LIST_NEXT(f, link);
		end(f);
	}
}

struct followers *followers_free(struct followers *all)
{
	if (!all)
		return NULL;
	all->changed = NULL;
	while (!LIST_EMPTY(&all->list))
		follower_free(LIST_FIRST(&all->list));
	free(all);
	return NULL;
}

/* What went out until now is not known. */
static void lose(struct follower *f)
{
	f->seen = f->watch ? monotonic_ns() : 0;
	page_ranges_done(&f->outs);
}

static void on_event(void *context, const struct event *e)
{
	struct follower *f = context;

	if (e->kind != EVENT_SWAP_OUT || f->seen == 0)
		return;
	/* Whose pages they were could not be told: it may be any object. */
	if (e->inode == 0 || f->outs.n_items >= OUTS_MAX ||
	    page_ranges_add(&f->outs, e->first, e->count) < 0)
		lose(f);
}

/* Events are read when they are needed, or when there are enough of them. */
static void on_hint(void *context)
{
	struct follower *f = context;

	if (watch_take(f->watch).lost)
		lose(f);
	page_ranges_sort(&f->outs);
}

/* Up to this moment. */
static void read_events(struct follower *f)
{
	watches_read(f->all->requests->watches);
	if (f->watch && watch_take(f->watch).lost)
		lose(f);
}

/* The address of the inode is the last look's. A new watch has seen nothing yet. */
static void watch_object(struct follower *f, uint64_t inode)
{
	if (f->watch && watch_inode(f->watch) == inode)
		return;
	f->watch = watch_free(f->watch);
	if (watch_new(f->all->requests->watches, inode, on_hint, f, &f->watch) >= 0)
		watch_each(f->watch, on_event);
	lose(f);
}

static int schedule(struct follower *f)
{
	uint64_t took = f->ended - f->began;
	uint64_t gap = standing_interval(took, NS_PER_SECOND);
	uint64_t at = f->ended + MAX(gap, took * ALL_FACTOR * f->all->n);
	int r = sd_event_source_set_time(f->timer, at / 1000);

	return r < 0 ? r : sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
}

static void run(struct task *t, struct worker *w)
{
	follow_look((struct follower *)t, w);
}

/* The worker goes, and the follower with the rest. */
static void drop(struct task *t)
{
	((struct follower *)t)->looking = false;
}

/* What the events told has been taken into account, unless another look came first. */
static void settle(struct follower *f)
{
	if (f->error >= 0 || f->error == -ENOSPC)
		page_ranges_done(&f->told);
	else if (page_ranges_move(&f->outs, &f->told) < 0)
		lose(f);
	if (f->error >= 0)
		f->witness.counted = f->ended;
	f->no_room = f->error == -ENOSPC;
	f->failed = f->error < 0 && f->error != -EAGAIN ? f->failed + 1 : 0;
	if (f->error >= 0)
		watch_object(f, f->inode);
}

static void done(struct task *t)
{
	struct follower *f = (struct follower *)t;

	f->looking = false;
	settle(f);
	if (f->ending || f->error == -ENOENT || f->failed > FAILED_MAX || schedule(f) < 0)
		follower_free(f);
}

static void look(struct follower *f)
{
	read_events(f);
	page_ranges_done(&f->told);
	f->told = f->outs;
	f->outs = (struct page_ranges){0};
	page_ranges_sort(&f->told);
	f->witness.since = f->seen;
	f->witness.outs = f->told.items;
	f->witness.n_outs = f->told.n_items;
	f->witness.certain = watches_level(f->all->requests->watches) == EVENTS_SWAP_OUT;
	f->task.stop = (struct stop){.limit = f->all->requests->scan_seconds};
	f->looking = true;
	pool_submit(f->all->requests->pool, &f->task);
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
	struct follower *f = context;

	(void)source;
	(void)usec;
	if (monotonic_ns() > f->until)
		end(f);
	else if (!f->looking)
		look(f);
	return 0;
}

static struct follower *find(struct followers *all, const struct identity *id)
{
	struct follower *f;

	LIST_FOREACH(f, &all->list, link)
	if (!f->ending && identity_compare(&f->identity, id) == 0)
		return f;
	return NULL;
}

static size_t count_of(const struct followers *all, uid_t uid)
{
	const struct follower *f;
	size_t n = 0;

	LIST_FOREACH(f, &all->list, link)
	n += f->task.uid == uid;
	return n;
}

static struct follower *begin(struct followers *all, const struct request *r,
			      const struct result *result)
{
	struct follower *f;

	if (all->stopped || !result->identity.certain || all->n >= FOLLOWERS_MAX ||
	    (!r->privileged && count_of(all, r->peer.uid) >= FOLLOWERS_OF_USER_MAX))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	*f = (struct follower){
		.task = {.uid = r->peer.uid,
			 .privileged = r->privileged,
			 .goes_on = true,
			 .run = run,
			 .done = done,
			 .drop = drop},
		.all = all,
		.identity = result->identity,
		.was = object_copy(result->object, FOLLOW_PLACES),
		.keep = r->privileged ? HISTORY_KEEP : HISTORY_KEEP_IF_ROOM,
		.history = all->requests->history,
	};
	LIST_INSERT_HEAD(&all->list, f, link);
	if (all->n++ == 0 && all->changed)
		all->changed(all->context);
	if (!f->was || sd_event_add_time(all->requests->event, &f->timer, CLOCK_MONOTONIC,
					 UINT64_MAX, TIMER_SLACK_USEC, on_time, f) < 0) {
		follower_free(f);
		return NULL;
	}
	watch_object(f, result->snapshot.inode);
	/* Its first look comes at once: from then on something can be known. */
	look(f);
	return f;
}

/* Pages that went out since the last look: they are out, or came back. */
static int add_outs(struct result *result, const struct page_ranges *outs)
{
	uint32_t now = refault_time(monotonic_ns());

	if (outs->n_items == 0)
		return 0;
	return refaults_note(&result->comebacks.refaults, outs->items, outs->n_items, now, 0);
}

/*
 * Events of before the call's look may have gone into a look of the follower's that came after it,
 * before the loop heard of either: what is told is what is known by now.
 */
static int tell_anew(const struct follower *f, struct result *result)
{
	struct comebacks now;
	int r;

	if (f->witness.counted <= result->generation->ended)
		return 0;
	r = history_comebacks(f->history, &f->identity, &now);
	if (r < 0)
		return r;
	refaults_done(&result->comebacks.refaults);
	result->comebacks = now;
	return 0;
}

/* i915 and others write their buffers to the swap without a word. */
static bool is_of_driver(const struct result *result)
{
	return result->object->kind == OBJECT_SHMEM;
}

static const char *why_unknown(const struct followers *all, const struct follower *f,
			       const struct result *result)
{
	if (is_of_driver(result))
		return "drivers of the kernel page out such objects by themselves, which no event "
		       "tells";
	if (!result->identity.certain)
		return "the object cannot be known again, and is not followed";
	if (!f)
		return "the object is not followed: too many are";
	if (!f->watch && watches_level(all->requests->watches) == EVENTS_NONE)
		return "no events of the kernel can be had: what goes out and comes back between "
		       "two looks is not seen";
	if (!f->watch)
		return "events cannot be matched with the object, for there is no walk of the page "
		       "cache: what goes out and comes back between two looks is not seen";
	if (f->no_room)
		return "there is no room to remember the object: see HistoryBytes in "
		       "shmstated.conf(5)";
	if (!result->generation->in_order)
		return "other looks at the object overtook this one";
	return "it has just begun to be followed, or events were lost";
}

void followers_tell(struct followers *all, const struct request *r, struct result *result)
{
	struct follower *f = find(all, &result->identity);
	/* Of what went out it is not known yet which has come back: the next look tells. */
	bool candidates = r->question.method == METHOD_FIND_CANDIDATES;
	uint64_t lease =
		MIN(MAX(2 * (uint64_t)r->question.age, LEASE_SECONDS_MIN), LEASE_SECONDS_MAX);

	if (f) {
		read_events(f);
		page_ranges_sort(&f->outs);
	}
	if (!f || tell_anew(f, result) < 0 || !f->watch || f->seen == 0 ||
	    f->seen > result->comebacks.known || !result->generation->in_order ||
	    is_of_driver(result) ||
	    (candidates && (add_outs(result, &f->outs) < 0 || add_outs(result, &f->told) < 0)))
		result->comebacks.known = 0;
	if (!f)
		f = begin(all, r, result);
	if (f)
		f->until = MAX(f->until, monotonic_ns() + lease * NS_PER_SECOND);
	if (result->comebacks.known == 0)
		result->unproven = why_unknown(all, f, result);
	result->followed = f && f->watch && !f->no_room && !is_of_driver(result);
}
