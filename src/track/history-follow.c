/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "model/delta.h"
#include "track/history-inside.h"
#include "util/array.h"
#include "util/util.h"

/* What came back takes so much of the limit for one object at most. */
#define REFAULTS_PART 8

/*
 * And all that is there for objects that are followed for others: it stays as long as they are, and
 * with more of it there would be no room for what the privileged are told.
 */
#define OTHERS_PART 4

bool history_is_whole(const struct snapshot *s)
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

/* Bytes that there are for one that is followed for others, if it gives back what it has. */
static size_t room_of_others(const struct history *h, size_t has)
{
	size_t limit = h->usage.limit / OTHERS_PART, rest = h->for_others - has;

	return limit - MIN(limit, rest);
}

/* They have come back, by then. What is found is gone. */
static void note(struct history *h, struct past *past, struct found *f, uint64_t at,
		 uint32_t counted)
{
	size_t before = refaults_bytes(&past->refaults), limit = h->usage.limit / REFAULTS_PART;
	uint32_t time = refault_time(at);

	if (past->of_others)
		limit = MIN(limit, room_of_others(h, before));

	if (f->lost)
		past->refaults.forgotten = time;
	else if (f->n_items > 0 &&
		 refaults_note(&past->refaults, f->items, f->n_items, time, counted) < 0)
		past->refaults.forgotten = time;
	if (refaults_bytes(&past->refaults) > limit)
		refaults_shrink(&past->refaults, limit);
	past_account(h, past, refaults_bytes(&past->refaults), before);
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

void past_replace_last(struct history *h, struct past *past, struct generation *shown, size_t n,
		       const struct generation *g)
{
	struct generation *before = past->last;

	past->last = generation_ref(shown);
	past_account(h, past, n, past->n_last);
	past->n_last = n;
	past->last_began = g->began;
	past->last_ended = g->ended;
	generation_unref(before);
}

bool past_follow(struct history *h, struct past *past, const struct generation *g)
{
	struct found back = {0}, suspected = {0};
	struct change c;
	struct delta d;

	if (!history_is_whole(&g->snapshot))
		return false;
	if (!past->last) {
		past->observed = g->ended;
		return true;
	}
	if (g->began < past->last_ended)
		return false;
	d = delta_seek(&past->last->snapshot, &g->snapshot, 0);
	while (delta_next(&d, &c)) {
		if (has_come_back(&c))
			find(&back, c.first, c.count);
		else if (may_have_come_back(&c))
			find(&suspected, c.first, c.count);
	}
	note(h, past, &back, g->ended, 0);
	note(h, past, &suspected, g->ended, REFAULTS_SUSPECTED);
	return true;
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

static void follow_for(struct history *h, struct past *past, bool followed, bool of_others)
{
	size_t bytes = past->n_last + refaults_bytes(&past->refaults);

	past_account(h, past, 0, bytes);
	past->followed = followed;
	past->of_others = of_others;
	past_account(h, past, bytes, 0);
}

static int follow_closely(struct history *h, const struct identity *id, enum history_keep keep,
			  const struct witness *w, struct generation *g)
{
	struct past *past = past_find(h, id);
	uint64_t known;

	if (!past)
		past = past_add(h, id);
	if (!past)
		return -ENOMEM;
	follow_for(h, past, true, keep != HISTORY_KEEP);
	known = known_since(past, w, g);
	if (!past_follow(h, past, g))
		return -EAGAIN;
	note_outs(h, past, w, g);
	past_drop_last(h, past);
	if ((past->of_others && g->bytes > room_of_others(h, 0)) ||
	    !history_make_room(h, g->bytes, keep))
		return -ENOSPC;
	past_replace_last(h, past, g, g->bytes, g);
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
	past = past_find(h, id);
	if (past && past->followed) {
		follow_for(h, past, false, false);
		if (TAILQ_EMPTY(&past->kept))
			past_drop(h, past);
	}
	pthread_mutex_unlock(&h->lock);
}

int history_comebacks(struct history *h, const struct identity *id, struct comebacks *ret)
{
	struct comebacks c = {0};
	struct past *past;
	int r = 0;

	pthread_mutex_lock(&h->lock);
	past = past_find(h, id);
	if (past) {
		c.observed = past->observed;
		c.known = past->known;
		r = refaults_copy(&past->refaults, &c.refaults);
	}
	pthread_mutex_unlock(&h->lock);
	if (r >= 0)
		*ret = c;
	return r;
}
