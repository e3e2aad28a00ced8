/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <search.h>
#include <sys/random.h>

#include "model/delta.h"
#include "track/history-inside.h"
#include "util/stop.h"
#include "util/util.h"

/* JSON's readers take numbers for doubles: what is told must be exact in one. */
#define NUMBER_BITS 52

/*
 * What the allocator takes for the pieces of a generation, and leaves between them and others': of
 * answers about small objects, of which there may be thousands, that is nearly as much as they are.
 */
#define PIECES_BYTES ((size_t)512)

/* Generations of an object among which one about the same pages is looked for. */
#define NEWEST_SEEN 64

struct generation *generation_new(struct snapshot *s, uint64_t began, uint64_t ended)
{
	struct generation *g = calloc(1, sizeof(*g));
	const struct state_map *map;

	if (!g)
		return NULL;
	map = &g->snapshot.map;
	atomic_init(&g->n_references, 1);
	g->began = began;
	g->ended = ended;
	state_map_shrink(&s->map);
	g->snapshot = *s;
	g->snapshot.verification = (struct verification){0};
	s->map = (struct state_map){0};
	map = &g->snapshot.map;
	g->bytes = sizeof(*g) + sizeof(struct kept) + PIECES_BYTES +
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

void past_account(struct history *h, const struct past *past, size_t taken, size_t given)
{
	h->usage.bytes += taken;
	h->usage.bytes -= given;
	if (past->of_others) {
		h->for_others += taken;
		h->for_others -= given;
	}
}

void past_drop_last(struct history *h, struct past *past)
{
	past_account(h, past, 0, past->n_last);
	past->n_last = 0;
	past->last = generation_unref(past->last);
	past->known = 0;
}

void past_drop(struct history *h, struct past *past)
{
	past_drop_last(h, past);
	past_account(h, past, 0, refaults_bytes(&past->refaults));
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
		past_drop_last(h, past);
	generation_unref(k->generation);
	free(k);
	if (TAILQ_EMPTY(&past->kept) && !past->followed)
		past_drop(h, past);
}

struct history *history_free(struct history *h)
{
	if (!h)
		return NULL;
	while (!TAILQ_EMPTY(&h->all))
		drop(h, TAILQ_FIRST(&h->all));
	/* Those that are followed. */
	while (h->pasts)
		past_drop(h, *(struct past **)h->pasts);
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

bool history_make_room(struct history *h, size_t bytes, enum history_keep keep)
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
	history_make_room(h, 0, HISTORY_KEEP);
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

struct past *past_find(struct history *h, const struct identity *id)
{
	struct past **found = tfind(id, &h->pasts, identity_compare);

	return found ? *found : NULL;
}

struct past *past_add(struct history *h, const struct identity *id)
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

static int keep_it(struct history *h, struct past *past, enum history_keep keep,
		   struct generation *g)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	*k = (struct kept){
		.past = past,
		.generation = generation_ref(g),
		/* What took only what room there was is the first to go again. */
		.of_others = keep != HISTORY_KEEP,
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
	return (history_is_whole(a) && history_is_whole(b)) ||
	       (a->first == b->first && a->count == b->count);
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

/*
 * The one that was told last of these pages shows the same: nothing is added. Once the privileged
 * are told of one it is theirs, and no other's answers make it go.
 */
static bool tell_again(struct history *h, struct past *past, bool followed, enum history_keep keep,
		       struct generation *g)
{
	struct kept *newest = past ? find_newest(past, &g->snapshot) : NULL;

	if (!newest || !delta_is_empty(&newest->generation->snapshot, &g->snapshot))
		return false;
	g->number = newest->generation->number;
	remember_telling(h, newest);
	if (keep == HISTORY_KEEP && newest->of_others) {
		newest->of_others = false;
		h->of_others -= newest->generation->bytes;
	}
	if (followed)
		past_replace_last(h, past, newest->generation, 0, g);
	return true;
}

static int add(struct history *h, const struct identity *id, enum history_keep keep,
	       struct generation *g)
{
	struct past *past = past_find(h, id);
	bool followed = past && past_follow(h, past, g);
	uint64_t known = past ? past->known : 0;
	bool has_room;
	int r;

	g->in_order = followed;
	if (tell_again(h, past, followed, keep, g))
		return 0;
	has_room = history_make_room(h, g->bytes, keep);
	/* It may have gone to make room. */
	past = past_find(h, id);
	if (!has_room) {
		if (past && followed)
			past_drop_last(h, past);
		return 0;
	}
	if (!past) {
		past = past_add(h, id);
		if (!past)
			return -ENOMEM;
		followed = g->in_order = past_follow(h, past, g);
		known = 0;
	}
	r = keep_it(h, past, keep, g);
	if (followed && r >= 0) {
		past_replace_last(h, past, g, 0, g);
		past->known = known;
	} else if (followed) {
		past_drop_last(h, past);
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
	past = id->certain ? past_find(h, id) : NULL;
	/* Of one that is only followed none may be kept. */
	if (past && !TAILQ_EMPTY(&past->kept)) {
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

void history_expire(struct history *h, uint64_t age_ns)
{
	uint64_t now = monotonic_ns();
	struct kept *k;

	pthread_mutex_lock(&h->lock);
	while ((k = TAILQ_FIRST(&h->all)) && now - k->told > age_ns)
		drop(h, k);
	pthread_mutex_unlock(&h->lock);
}
