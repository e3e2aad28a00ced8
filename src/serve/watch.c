/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <search.h>
#include <sys/queue.h>

#include "serve/watch.h"
#include "util/util.h"

/* How long events gather before they are looked at: those of one page-out belong together. */
#define GATHER_USEC 10000

/* An object, and who watches it. */
struct watched {
	uint64_t inode; /* first: what tsearch() is given is one of these */
	LIST_HEAD(, watch) watches;
};

struct watch {
	LIST_ENTRY(watch) of_object;
	TAILQ_ENTRY(watch) link; /* in one of the two lists of all */
	struct watches *all;
	struct watched *object;
	bool woken;
	struct watch_hints hints;
	watch_callback changed;
	events_visit visit; /* NULL: hints are enough */
	void *context;
};

TAILQ_HEAD(watch_list, watch);

struct watches {
	struct events *events;
	sd_event_source *io;    /* NULL: nothing ever comes */
	sd_event_source *timer; /* runs while events gather */
	void *objects;          /* tsearch() */
	struct watch_list quiet;
	struct watch_list woken; /* to be called back */
	size_t n;
	uint64_t lost; /* as of the last time that events were looked at */
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static struct watched *find(const struct watches *all, uint64_t inode)
{
	struct watched **found = tfind(&inode, &all->objects, compare);

	return found ? *found : NULL;
}

static void wake(struct watch *w)
{
	if (w->woken)
		return;
	w->woken = true;
	TAILQ_REMOVE(&w->all->quiet, w, link);
	TAILQ_INSERT_TAIL(&w->all->woken, w, link);
}

static uint64_t end_of(struct page_range r)
{
	return r.count < UINT64_MAX - r.first ? r.first + r.count : UINT64_MAX;
}

static struct page_range join(struct page_range a, struct page_range b)
{
	uint64_t first = MIN(a.first, b.first), end = MAX(end_of(a), end_of(b));

	if (a.count == 0)
		return b;
	return (struct page_range){first, end == UINT64_MAX ? UINT64_MAX : end - first};
}

static void hint(struct watch *w, const struct event *e)
{
	struct page_range range = {e->first, e->count};

	w->hints.hull = join(w->hints.hull, range);
	if (e->count != UINT64_MAX)
		w->hints.pages[e->kind] += e->count;
	if (w->visit)
		w->visit(w->context, e);
	wake(w);
}

static void visit(void *context, const struct event *e)
{
	struct watches *all = context;
	struct watched *object;
	struct watch *w, *next;

	/* It may be of any of them. */
	if (e->inode == 0) {
		TAILQ_FOREACH (w, &all->woken, link)
			hint(w, e);
		for (w = TAILQ_FIRST(&all->quiet); w; w = next) {
			next = TAILQ_NEXT(w, link);
			hint(w, e);
		}
		return;
	}
	object = find(all, e->inode);
	if (!object)
		return;
	LIST_FOREACH(w, &object->watches, of_object)
	hint(w, e);
}

/* Nobody knows whose they were. */
static void tell_lost(struct watches *all)
{
	struct watch *w;

	while ((w = TAILQ_FIRST(&all->quiet)))
		wake(w);
	TAILQ_FOREACH (w, &all->woken, link)
		w->hints.lost = true;
}

static void call_back(struct watches *all)
{
	struct watch *w;

	while ((w = TAILQ_FIRST(&all->woken))) {
		w->woken = false;
		TAILQ_REMOVE(&all->woken, w, link);
		TAILQ_INSERT_TAIL(&all->quiet, w, link);
		if (w->changed)
			w->changed(w->context);
	}
}

static void read_events(struct watches *all)
{
	int r = events_consume(all->events, visit, all);
	uint64_t lost = events_lost(all->events);

	/* What could not be read is as good as lost. */
	if (lost != all->lost || r < 0)
		tell_lost(all);
	all->lost = lost;
}

static int on_gathered(sd_event_source *source, uint64_t usec, void *context)
{
	struct watches *all = context;

	(void)source;
	(void)usec;
	read_events(all);
	call_back(all);
	return sd_event_source_set_enabled(all->io, SD_EVENT_ON);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct watches *all = context;
	int r = sd_event_source_set_enabled(source, SD_EVENT_OFF);

	(void)fd;
	(void)events;
	if (r >= 0)
		r = sd_event_source_set_time_relative(all->timer, GATHER_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(all->timer, SD_EVENT_ONESHOT);
}

static int listen_to(struct watches *all, sd_event *event)
{
	int fd = all->events ? events_fd(all->events) : -1, r;

	if (fd < 0)
		return 0;
	r = sd_event_add_time(event, &all->timer, CLOCK_MONOTONIC, 0, 1000, on_gathered, all);
	if (r >= 0)
		r = sd_event_source_set_enabled(all->timer, SD_EVENT_OFF);
	return r < 0 ? r : sd_event_add_io(event, &all->io, fd, EPOLLIN, on_readable, all);
}

void watches_read(struct watches *all)
{
	if (!all->io)
		return;
	read_events(all);
	if (!TAILQ_EMPTY(&all->woken))
		on_readable(all->io, -1, 0, all);
}

int watches_new(sd_event *event, struct events *events, struct watches **ret)
{
	struct watches *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return -ENOMEM;
	all->events = events;
	TAILQ_INIT(&all->quiet);
	TAILQ_INIT(&all->woken);
	r = listen_to(all, event);
	if (r < 0) {
		watches_free(all);
		return r;
	}
	*ret = all;
	return 0;
}

struct watches *watches_free(struct watches *all)
{
	if (!all)
		return NULL;
	sd_event_source_disable_unref(all->io);
	sd_event_source_disable_unref(all->timer);
	free(all);
	return NULL;
}

enum events_level watches_level(const struct watches *all)
{
	return all->events ? events_level(all->events) : EVENTS_NONE;
}

bool watches_tell(const struct watches *all, enum event_kind kind)
{
	return all->events && events_tells(all->events, kind);
}

uint64_t watches_lost(const struct watches *all)
{
	return all->events ? events_lost(all->events) : 0;
}

size_t watches_count(const struct watches *all)
{
	return all->n;
}

bool watches_attached(const struct watches *all)
{
	return all->events && events_attached(all->events);
}

static void drop(struct watches *all, struct watched *object)
{
	if (!LIST_EMPTY(&object->watches))
		return;
	tdelete(object, &all->objects, compare);
	events_unwatch(all->events, object->inode);
	free(object);
}

/* Of one object that several watch the kernel is told once. */
static int find_or_add(struct watches *all, uint64_t inode, struct watched **ret)
{
	struct watched *object = find(all, inode);
	int r;

	if (!object) {
		object = calloc(1, sizeof(*object));
		if (!object)
			return -ENOMEM;
		object->inode = inode;
		r = events_watch(all->events, inode);
		if (r >= 0 && !tsearch(object, &all->objects, compare)) {
			events_unwatch(all->events, inode);
			r = -ENOMEM;
		}
		if (r < 0) {
			free(object);
			return r;
		}
	}
	*ret = object;
	return 0;
}

int watch_new(struct watches *all, uint64_t inode, watch_callback changed, void *context,
	      struct watch **ret)
{
	struct watched *object;
	struct watch *w;
	int r;

	if (inode == 0 || watches_level(all) == EVENTS_NONE)
		return -EOPNOTSUPP;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	r = find_or_add(all, inode, &object);
	if (r < 0) {
		free(w);
		return r;
	}
	*w = (struct watch){.all = all, .object = object, .changed = changed, .context = context};
	LIST_INSERT_HEAD(&object->watches, w, of_object);
	TAILQ_INSERT_TAIL(&all->quiet, w, link);
	all->n++;
	*ret = w;
	return 0;
}

struct watch *watch_free(struct watch *w)
{
	struct watches *all;

	if (!w)
		return NULL;
	all = w->all;
	LIST_REMOVE(w, of_object);
	if (w->woken)
		TAILQ_REMOVE(&all->woken, w, link);
	else
		TAILQ_REMOVE(&all->quiet, w, link);
	all->n--;
	drop(all, w->object);
	free(w);
	return NULL;
}

void watch_each(struct watch *w, events_visit visit_each)
{
	w->visit = visit_each;
}

uint64_t watch_inode(const struct watch *w)
{
	return w->object->inode;
}

struct watch_hints watch_take(struct watch *w)
{
	struct watch_hints hints = w->hints;

	w->hints = (struct watch_hints){0};
	return hints;
}

int watch_counts(const struct watch *w, struct event_counts *ret)
{
	return events_count(w->all->events, w->object->inode, ret);
}
