/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "model/delta.h"
#include "track/history.h"
#include "util/stop.h"
#include "util/util.h"

/* JSON's readers take numbers for doubles: what is told must be exact in one. */
#define NUMBER_BITS 52

/* Generations of an object among which one about the same pages is looked for. */
#define NEWEST_SEEN 64

struct past;

TAILQ_HEAD(kept_list, kept);

/* A generation that may be asked for. */
struct kept {
	TAILQ_ENTRY(kept) link;    /* of all, by when they were told last */
	TAILQ_ENTRY(kept) of_past; /* of the object, by number */
	struct past *past;
	struct generation *generation;
	bool of_others;
	uint64_t told; /* CLOCK_MONOTONIC, ns */
};

/* An object. */
struct past {
	struct identity id; /* first: tsearch() is given either */
	struct kept_list kept;
	struct flows flows;
};

struct history {
	pthread_mutex_t lock;
	void *pasts; /* tsearch() */
	struct kept_list all;
	uint64_t next;
	struct history_usage usage;
	size_t of_others; /* bytes */
};

struct generation *generation_new(struct snapshot *s, uint64_t began, uint64_t ended)
{
	struct generation *g = calloc(1, sizeof(*g));
	const struct state_map *map;

	if (!g)
		return NULL;
	atomic_init(&g->n_references, 1);
	g->began = began;
	g->ended = ended;
	state_map_shrink(&s->map);
	g->snapshot = *s;
	g->snapshot.verification = (struct verification){0};
	s->map = (struct state_map){0};
	map = &g->snapshot.map;
	g->bytes = sizeof(*g) + sizeof(struct kept) +
		   map->n_segments_allocated * sizeof(*map->segments) +
		   map->n_dense_allocated * sizeof(*map->dense);
	return g;
}

struct generation *generation_ref(struct generation *g)
{
	atomic_fetch_add(&g->n_references, 1);
	return g;
}

struct generation *generation_unref(struct generation *g)
{
	if (!g || atomic_fetch_sub(&g->n_references, 1) > 1)
		return NULL;
	snapshot_done(&g->snapshot);
	free(g);
	return NULL;
}

/*
 * Numbers begin anywhere: one that was told by a service that ran before, or on another machine, is
 * not found here.
 */
static int choose_first_number(uint64_t *ret)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return -errno;
	*ret = (n >> (64 - NUMBER_BITS)) + 1;
	return 0;
}

int history_new(size_t bytes, struct history **ret)
{
	struct history *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	r = choose_first_number(&h->next);
	if (r < 0) {
		free(h);
		return r;
	}
	pthread_mutex_init(&h->lock, NULL);
	TAILQ_INIT(&h->all);
	h->usage.limit = bytes;
	*ret = h;
	return 0;
}

static void drop(struct history *h, struct kept *k)
{
	struct past *past = k->past;

	h->usage.generations--;
	h->usage.bytes -= k->generation->bytes;
	h->of_others -= k->of_others ? k->generation->bytes : 0;
	TAILQ_REMOVE(&h->all, k, link);
	TAILQ_REMOVE(&past->kept, k, of_past);
	generation_unref(k->generation);
	free(k);
	if (!TAILQ_EMPTY(&past->kept))
		return;
	tdelete(past, &h->pasts, identity_compare);
	free(past);
	h->usage.objects--;
}

struct history *history_free(struct history *h)
{
	if (!h)
		return NULL;
	while (!TAILQ_EMPTY(&h->all))
		drop(h, TAILQ_FIRST(&h->all));
	pthread_mutex_destroy(&h->lock);
	free(h);
	return NULL;
}

/* The one that was told the longest ago. */
static struct kept *oldest(struct history *h, bool of_others)
{
	struct kept *k;

	TAILQ_FOREACH (k, &h->all, link)
		if (!of_others || k->of_others)
			return k;
	return NULL;
}

static void drop_oldest(struct history *h, bool of_others)
{
	drop(h, oldest(h, of_others));
	h->usage.dropped++;
}

static bool make_room(struct history *h, size_t bytes, enum history_keep keep)
{
	size_t limit = h->usage.limit;

	if (keep == HISTORY_KEEP_IF_ROOM)
		return h->usage.bytes + bytes <= limit;
	if (bytes > (keep == HISTORY_KEEP_OF_OTHERS ? limit / 2 : limit))
		return false;
	if (keep == HISTORY_KEEP_OF_OTHERS)
		while (h->of_others + bytes > limit / 2)
			drop_oldest(h, true);
	/* Those of others go first: who the service is there for must not find his gone. */
	while (h->usage.bytes + bytes > limit)
		drop_oldest(h, h->of_others > 0);
	return true;
}

void history_set_limit(struct history *h, size_t bytes)
{
	pthread_mutex_lock(&h->lock);
	h->usage.limit = bytes;
	make_room(h, 0, HISTORY_KEEP);
	pthread_mutex_unlock(&h->lock);
}

struct history_usage history_usage(struct history *h)
{
	struct history_usage usage;

	pthread_mutex_lock(&h->lock);
	usage = h->usage;
	pthread_mutex_unlock(&h->lock);
	return usage;
}

static struct past *find_past(struct history *h, const struct identity *id)
{
	struct past **found = tfind(id, &h->pasts, identity_compare);

	return found ? *found : NULL;
}

static struct past *add_past(struct history *h, const struct identity *id)
{
	struct past *past = calloc(1, sizeof(*past));

	if (!past)
		return NULL;
	past->id = *id;
	TAILQ_INIT(&past->kept);
	if (!tsearch(past, &h->pasts, identity_compare)) {
		free(past);
		return NULL;
	}
	h->usage.objects++;
	return past;
}

static void remember_telling(struct history *h, struct kept *k)
{
	k->told = monotonic_ns();
	TAILQ_REMOVE(&h->all, k, link);
	TAILQ_INSERT_TAIL(&h->all, k, link);
}

static bool is_of_ram(int state)
{
	return state == PAGE_PRESENT || state == PAGE_ALLOCATED || state == PAGE_IN_CORE;
}

static void count_change(struct flows *flows, const struct change *c)
{
	bool was_out = c->from == PAGE_SWAPPED, was_slot = was_out || c->from == PAGE_SWAP_CACHE;

	if (is_of_ram(c->from) && (c->to == PAGE_SWAPPED || c->to == PAGE_SWAP_CACHE))
		flows->out += c->count;
	if (was_out && (is_of_ram(c->to) || c->to == PAGE_SWAP_CACHE))
		flows->in += c->count;
	if (was_slot && c->to == PAGE_PRESENT)
		flows->back += c->count;
}

static bool is_whole(const struct snapshot *s)
{
	return s->first == 0 && s->count == size_to_pages(s->size, s->page_size);
}

/*
 * What the object did since the last whole look. One that began before that had ended tells of no
 * order of things, and is left out.
 */
static void follow(struct past *past, const struct generation *g)
{
	const struct generation *last = NULL;
	struct change c;
	struct delta d;
	struct kept *k;

	if (!is_whole(&g->snapshot))
		return;
	TAILQ_FOREACH_REVERSE(k, &past->kept, kept_list, of_past)
	if (is_whole(&k->generation->snapshot)) {
		last = k->generation;
		break;
	}
	if (!last)
		past->flows = (struct flows){.since = g->ended};
	if (!last || g->began < last->ended)
		return;
	d = delta_seek(&last->snapshot, &g->snapshot, 0);
	while (delta_next(&d, &c))
		count_change(&past->flows, &c);
}

static int keep_it(struct history *h, struct past *past, enum history_keep keep,
		   struct generation *g)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	*k = (struct kept){
		.past = past,
		.generation = generation_ref(g),
		.of_others = keep == HISTORY_KEEP_OF_OTHERS,
		.told = monotonic_ns(),
	};
	g->number = h->next++;
	TAILQ_INSERT_TAIL(&h->all, k, link);
	TAILQ_INSERT_TAIL(&past->kept, k, of_past);
	h->usage.generations++;
	h->usage.bytes += g->bytes;
	h->of_others += k->of_others ? g->bytes : 0;
	return 0;
}

static bool are_about_the_same(const struct snapshot *a, const struct snapshot *b)
{
	return (is_whole(a) && is_whole(b)) || (a->first == b->first && a->count == b->count);
}

/*
 * The newest one about these pages. Between two looks at all of the object others may look at
 * parts, which must not make something new of what has not changed.
 */
static struct kept *find_newest(struct past *past, const struct snapshot *s)
{
	struct kept *k = TAILQ_LAST(&past->kept, kept_list);

	for (int i = 0; i < NEWEST_SEEN && k; i++, k = TAILQ_PREV(k, kept_list, of_past))
		if (are_about_the_same(&k->generation->snapshot, s))
			return k;
	return NULL;
}

static int add(struct history *h, const struct identity *id, enum history_keep keep,
	       struct generation *g)
{
	struct past *past = find_past(h, id);
	struct kept *newest = past ? find_newest(past, &g->snapshot) : NULL;

	if (newest && delta_is_empty(&newest->generation->snapshot, &g->snapshot)) {
		g->number = newest->generation->number;
		remember_telling(h, newest);
		return 0;
	}
	if (past)
		follow(past, g);
	if (!make_room(h, g->bytes, keep))
		return 0;
	/* It may have gone to make room. */
	past = find_past(h, id);
	if (!past) {
		past = add_past(h, id);
		if (!past)
			return -ENOMEM;
		follow(past, g);
	}
	return keep_it(h, past, keep, g);
}

int history_add(struct history *h, const struct identity *id, enum history_keep keep,
		struct generation *g)
{
	int r;

	g->number = 0;
	if (!id->certain)
		return 0;
	pthread_mutex_lock(&h->lock);
	r = add(h, id, keep, g);
	pthread_mutex_unlock(&h->lock);
	return r;
}

static struct kept *find_kept(struct past *past, uint64_t number)
{
	struct kept *k;

	/* They are in order, and it is one of the latest as a rule. */
	TAILQ_FOREACH_REVERSE(k, &past->kept, kept_list, of_past)
	if (k->generation->number <= number)
		break;
	return k && k->generation->number == number ? k : NULL;
}

int history_find(struct history *h, const struct identity *id, uint64_t number,
		 struct generation **ret, struct history_bounds *ret_bounds)
{
	struct history_bounds bounds = {0};
	struct kept *k = NULL;
	struct past *past;

	pthread_mutex_lock(&h->lock);
	past = id->certain ? find_past(h, id) : NULL;
	if (past) {
		bounds.oldest = TAILQ_FIRST(&past->kept)->generation->number;
		bounds.newest = TAILQ_LAST(&past->kept, kept_list)->generation->number;
		k = find_kept(past, number);
	}
	if (k) {
		remember_telling(h, k);
		*ret = generation_ref(k->generation);
	}
	pthread_mutex_unlock(&h->lock);
	*ret_bounds = bounds;
	return k ? 0 : -ESTALE;
}

struct flows history_flows(struct history *h, const struct identity *id)
{
	struct flows flows = {0};
	struct past *past;

	pthread_mutex_lock(&h->lock);
	past = find_past(h, id);
	if (past)
		flows = past->flows;
	pthread_mutex_unlock(&h->lock);
	return flows;
}

void history_expire(struct history *h, uint64_t age_ns)
{
	uint64_t now = monotonic_ns();
	struct kept *k;

	pthread_mutex_lock(&h->lock);
	while ((k = TAILQ_FIRST(&h->all)) && now - k->told > age_ns)
		drop(h, k);
	pthread_mutex_unlock(&h->lock);
}
