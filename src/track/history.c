/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "model/delta.h"
#include "track/history.h"
#include "util/array.h"
#include "util/stop.h"
#include "util/util.h"

/* What came back takes so much of the limit for one object at most. */
#define REFAULTS_PART 8

/* JSON's readers take numbers for doubles: what is told must be exact in one. */
#define NUMBER_BITS 52

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
	struct generation *last; /* the last look at the whole; NULL: it was dropped */
	size_t n_last;           /* bytes that it takes, if it is not kept */
	uint64_t last_began, last_ended;
	struct refaults refaults;
	uint64_t known; /* what has come back since then is in refaults; 0: it may not be */
	bool followed;
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
	const struct state_map *map = &s->map;

	if (!g)
		return NULL;
	atomic_init(&g->n_references, 1);
	g->began = began;
	g->ended = ended;
	state_map_shrink(&s->map);
	g->snapshot = *s;
	g->snapshot.verification = (struct verification){0};
	s->map = (struct state_map){0};
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

/* Without it, what has happened until the next one is not known. */
static void drop_last(struct history *h, struct past *past)
{
	h->usage.bytes -= past->n_last;
	past->n_last = 0;
	past->last = generation_unref(past->last);
	past->known = 0;
}

static void drop_past(struct history *h, struct past *past)
{
	drop_last(h, past);
	h->usage.bytes -= refaults_bytes(&past->refaults);
	refaults_done(&past->refaults);
	tdelete(past, &h->pasts, identity_compare);
	free(past);
	h->usage.objects--;
}

static void drop(struct history *h, struct kept *k)
{
	struct past *past = k->past;

	h->usage.generations--;
	h->usage.bytes -= k->generation->bytes;
	h->of_others -= k->of_others ? k->generation->bytes : 0;
	TAILQ_REMOVE(&h->all, k, link);
	TAILQ_REMOVE(&past->kept, k, of_past);
	if (past->last == k->generation)
		drop_last(h, past);
	generation_unref(k->generation);
	free(k);
	if (TAILQ_EMPTY(&past->kept) && !past->followed)
		drop_past(h, past);
}

struct history *history_free(struct history *h)
{
	if (!h)
		return NULL;
	while (!TAILQ_EMPTY(&h->all))
		drop(h, TAILQ_FIRST(&h->all));
	/* Those that are followed. */
	while (h->pasts)
		drop_past(h, *(struct past **)h->pasts);
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
	while (h->usage.bytes + bytes > limit && !TAILQ_EMPTY(&h->all))
		drop_oldest(h, h->of_others > 0);
	return h->usage.bytes + bytes <= limit;
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

/* Pages that follow each other, while they are being found. */
struct found {
	struct page_range *items;
	size_t n_items, n_allocated;
	bool lost; /* memory was short */
};

static void find(struct found *f, uint64_t first, uint64_t count)
{
	if (f->lost || ARRAY_RESERVE(&f->items, &f->n_allocated, f->n_items) < 0)
		f->lost = true;
	else
		f->items[f->n_items++] = (struct page_range){first, count};
}

/* They have come back, by then. What is found is gone. */
static void note(struct history *h, struct past *past, struct found *f, uint64_t at,
		 uint32_t counted)
{
	size_t before = refaults_bytes(&past->refaults), limit = h->usage.limit / REFAULTS_PART;
	uint32_t time = refault_time(at);

	if (f->lost)
		past->refaults.forgotten = time;
	else if (f->n_items > 0 &&
		 refaults_note(&past->refaults, f->items, f->n_items, time, counted) < 0)
		past->refaults.forgotten = time;
	if (refaults_bytes(&past->refaults) > limit)
		refaults_shrink(&past->refaults, limit);
	h->usage.bytes += refaults_bytes(&past->refaults);
	h->usage.bytes -= before;
	free(f->items);
}

static bool has_come_back(const struct change *c)
{
	return (c->from == PAGE_SWAPPED || c->from == PAGE_SWAP_CACHE) && c->to == PAGE_PRESENT;
}

/* It may have been in the swap before it could not be told. */
static bool may_have_come_back(const struct change *c)
{
	return (c->from == PAGE_UNKNOWN || c->from == PAGE_IN_CORE) && c->to == PAGE_PRESENT;
}

/* g, or one that is the same page by page, is what the last look has shown. n: bytes that nobody
 * else counts. */
static void replace_last(struct history *h, struct past *past, struct generation *shown, size_t n,
			 const struct generation *g)
{
	struct generation *before = past->last;

	past->last = generation_ref(shown);
	h->usage.bytes += n;
	h->usage.bytes -= past->n_last;
	past->n_last = n;
	past->last_began = g->began;
	past->last_ended = g->ended;
	generation_unref(before);
}

/*
 * What the object did since the last whole look. One that began before that had ended tells of no
 * order of things, and is left out: false.
 */
static bool follow(struct history *h, struct past *past, const struct generation *g)
{
	struct found back = {0}, suspected = {0};
	struct change c;
	struct delta d;

	if (!is_whole(&g->snapshot))
		return false;
	if (!past->last) {
		past->flows = (struct flows){.since = g->ended};
		return true;
	}
	if (g->began < past->last_ended)
		return false;
	d = delta_seek(&past->last->snapshot, &g->snapshot, 0);
	while (delta_next(&d, &c)) {
		count_change(&past->flows, &c);
		if (has_come_back(&c))
			find(&back, c.first, c.count);
		else if (may_have_come_back(&c))
			find(&suspected, c.first, c.count);
	}
	note(h, past, &back, g->ended, 0);
	note(h, past, &suspected, g->ended, REFAULTS_SUSPECTED);
	return true;
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

/* The one that was told last shows the same: nothing is added. */
static bool tell_again(struct history *h, struct past *past, bool followed, struct generation *g)
{
	struct kept *newest = past ? TAILQ_LAST(&past->kept, kept_list) : NULL;

	if (!newest || !delta_is_empty(&newest->generation->snapshot, &g->snapshot))
		return false;
	g->number = newest->generation->number;
	remember_telling(h, newest);
	if (followed)
		replace_last(h, past, newest->generation, 0, g);
	return true;
}

static int add(struct history *h, const struct identity *id, enum history_keep keep,
	       struct generation *g)
{
	struct past *past = find_past(h, id);
	bool followed = past && follow(h, past, g);
	uint64_t known = past ? past->known : 0;
	bool has_room;
	int r;

	g->in_order = followed;
	if (tell_again(h, past, followed, g))
		return 0;
	has_room = make_room(h, g->bytes, keep);
	/* It may have gone to make room. */
	past = find_past(h, id);
	if (!has_room) {
		if (past && followed)
			drop_last(h, past);
		return 0;
	}
	if (!past) {
		past = add_past(h, id);
		if (!past)
			return -ENOMEM;
		followed = g->in_order = follow(h, past, g);
		known = 0;
	}
	r = keep_it(h, past, keep, g);
	if (followed && r >= 0) {
		replace_last(h, past, g, 0, g);
		past->known = known;
	} else if (followed) {
		drop_last(h, past);
	}
	return r;
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

/* What went out since the look before and is there now has come back in between. */
static void note_outs(struct history *h, struct past *past, const struct witness *w,
		      const struct generation *g)
{
	struct found back = {0};
	struct extent e;

	for (size_t i = 0; i < w->n_outs; i++) {
		uint64_t end = w->outs[i].first + w->outs[i].count;
		struct state_cursor cursor = state_map_seek(&g->snapshot.map, w->outs[i].first);

		while (cursor.at < end && state_cursor_next(&cursor, &e))
			if (e.state == PAGE_PRESENT)
				find(&back, e.first, MIN(end, e.first + e.count) - e.first);
	}
	note(h, past, &back, g->ended, w->certain ? refault_time(w->counted) : REFAULTS_SUSPECTED);
}

/* From when on nothing is missing, once this look has been added. */
static uint64_t known_since(const struct past *past, const struct witness *w,
			    const struct generation *g)
{
	if (w->since == 0)
		return 0;
	if (past->last && past->known >= w->since)
		return past->known;
	/* Of pages that were in the swap before the first look it is not known when they came. */
	return past->last && past->last_began >= w->since ? past->last_ended : g->ended;
}

static int follow_closely(struct history *h, const struct identity *id, enum history_keep keep,
			  const struct witness *w, struct generation *g)
{
	struct past *past = find_past(h, id);
	uint64_t known;

	if (!past)
		past = add_past(h, id);
	if (!past)
		return -ENOMEM;
	past->followed = true;
	known = known_since(past, w, g);
	if (!follow(h, past, g))
		return -EAGAIN;
	note_outs(h, past, w, g);
	drop_last(h, past);
	if (!make_room(h, g->bytes, keep))
		return -ENOSPC;
	replace_last(h, past, g, g->bytes, g);
	past->known = known;
	return 0;
}

int history_follow(struct history *h, const struct identity *id, enum history_keep keep,
		   const struct witness *w, struct generation *g)
{
	int r;

	if (!id->certain)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&h->lock);
	r = follow_closely(h, id, keep, w, g);
	pthread_mutex_unlock(&h->lock);
	return r;
}

void history_unfollow(struct history *h, const struct identity *id)
{
	struct past *past;

	pthread_mutex_lock(&h->lock);
	past = find_past(h, id);
	if (past && past->followed) {
		past->followed = false;
		if (TAILQ_EMPTY(&past->kept))
			drop_past(h, past);
	}
	pthread_mutex_unlock(&h->lock);
}

int history_comebacks(struct history *h, const struct identity *id, struct comebacks *ret)
{
	struct comebacks c = {0};
	struct past *past;
	int r = 0;

	pthread_mutex_lock(&h->lock);
	past = find_past(h, id);
	if (past) {
		c.observed = past->flows.since;
		c.known = past->known;
		r = refaults_copy(&past->refaults, &c.refaults);
	}
	pthread_mutex_unlock(&h->lock);
	if (r >= 0)
		*ret = c;
	return r;
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
