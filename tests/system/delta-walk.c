/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "delta-steps.h"

#define REMEMBERED 256
#define ASKS 4          /* deltas a step */
#define TRIES 20        /* until others leave the object alone for as long as it is asked about */
#define COUNT_EVERY 16  /* smaps is read */
#define RENEW_EVERY 500 /* an object makes place for a new one */
#define SMALL "100K"    /* some dozens of generations */
#define PLENTY "64M"

/* What was told by that number. */
struct memory {
	uint64_t number;
	struct view view;
};

struct walk {
	struct client client;
	struct random random;
	struct object objects[KINDS];
	struct memory *memory[KINDS]; /* REMEMBERED of them; the first stays */
	size_t n_told[KINDS];         /* since the object was made */
	uint64_t old[KINDS];          /* a number of the object that was there before */
	bool drops;
};

static const struct memory *recall(const struct walk *w, int k, size_t i)
{
	return &w->memory[k][i == 0 ? 0 : 1 + (i - 1) % (REMEMBERED - 1)];
}

static void remember(struct walk *w, int k, uint64_t number, const struct view *view)
{
	struct memory *m;

	if (number == 0 || (w->n_told[k] > 0 && recall(w, k, w->n_told[k] - 1)->number == number))
		return;
	m = &w->memory[k][w->n_told[k] == 0 ? 0 : 1 + (w->n_told[k] - 1) % (REMEMBERED - 1)];
	m->number = number;
	m->view = *view;
	w->n_told[k]++;
}

/* ---- judgement ----------------------------------------------------------------------------- */

static bool concerns(const struct ask *ask, int state)
{
	return state != BEYOND && ask->states >> state & 1;
}

struct page_change {
	uint8_t from, to;
};

/* What the answer tells of each page; in order, without a page told of twice. */
static bool spread_out(const struct answer *a, const struct ask *ask, uint64_t end,
		       struct page_change *told)
{
	uint64_t at = ask->first;

	for (size_t i = 0; i < a->n; i++) {
		const struct change *c = &a->changes[i];

		if (c->first < at || c->count == 0 || c->count > PAGES_MAX ||
		    c->first + c->count > end || c->from == c->to) {
			wrong("change %zu, pages %" PRIu64 "+%" PRIu64 ", %d to %d, asked for "
			      "%" PRIu64 "+%" PRIu64,
			      i, c->first, c->count, c->from, c->to, ask->first, ask->count);
			return false;
		}
		at = c->first + c->count;
		for (uint64_t page = c->first; page < at; page++)
			told[page] = (struct page_change){(uint8_t)c->from, (uint8_t)c->to};
		atomic_fetch_add(&tally.changed, c->count);
	}
	return true;
}

bool judge(const struct answer *a, const struct ask *ask, const struct view *old,
	   const struct view *new, const char *what)
{
	struct page_change told[PAGES_MAX] = {0}; /* from and to alike: not told of */
	uint64_t end = old->pages > new->pages ? old->pages : new->pages, differ = 0;

	if (ask->count != TO_END && ask->first + ask->count < end)
		end = ask->first + ask->count;
	if (!spread_out(a, ask, end, told))
		return false;
	for (uint64_t page = ask->first; page < end; page++) {
		int from = view_get(old, page), to = view_get(new, page);
		bool expected = from != to && (concerns(ask, from) || concerns(ask, to));
		bool is = told[page].from != told[page].to;

		if (is == expected && (!is || (told[page].from == from && told[page].to == to)))
			continue;
		if (differ++ == 0)
			wrong("%s: page %" PRIu64 " went from %d to %d, told is %d to %d", what,
			      page, from, to, told[page].from, told[page].to);
	}
	atomic_fetch_add(&tally.deltas, 1);
	atomic_fetch_add(&tally.pages, end > ask->first ? end - ask->first : 0);
	return differ == 0;
}

static void judge_counts(const struct answer *a, const struct ask *ask, const struct view *new)
{
	uint64_t end = new->pages, counts[SHMSTATE_STATES] = {0};

	if (ask->count != TO_END && ask->first + ask->count < end)
		end = ask->first + ask->count;
	for (uint64_t page = ask->first; page < end; page++)
		counts[new->state[page]]++;
	if (a->pages != new->pages || memcmp(counts, a->counts, sizeof(counts)) != 0)
		wrong("counts beside a delta are not those of its range");
}

/* ---- a step -------------------------------------------------------------------------------- */

/* A question, and what came of it. */
struct asked {
	struct ask ask;
	const struct memory *since;
	bool given; /* else it is gone */
	struct answer answer;
};

/* Up to the end of the object at most; what is behind is told to who asks for all. */
static struct ask choose_ask(struct walk *w, uint64_t pages, uint64_t since, bool plain)
{
	struct ask ask = ASK_ALL(since);

	ask.encoding = (enum encoding)below(&w->random, ENCODINGS);
	if (plain)
		return ask;
	if (below(&w->random, 3) == 0) {
		ask.first = below(&w->random, pages);
		ask.count =
			below(&w->random, 4) ? 1 + below(&w->random, pages - ask.first) : TO_END;
	}
	if (below(&w->random, 3) == 0)
		ask.states = 1 + (unsigned)below(&w->random, ALL_STATES);
	return ask;
}

/* Since the last one, one some steps ago, the first one, any one. */
static size_t choose_since(struct walk *w, int k, size_t i)
{
	size_t told = w->n_told[k], oldest = told > REMEMBERED ? told - REMEMBERED + 1 : 0;

	switch (i) {
	case 0:
		return told - 1;
	case 1:
		return told - 1 - below(&w->random, told < 8 ? told : 8);
	case 2:
		return 0;
	default:
		return oldest + below(&w->random, told - oldest);
	}
}

static void ask_all(struct walk *w, int k, struct asked *asked)
{
	for (size_t i = 0; i < ASKS && w->n_told[k] > 0; i++) {
		struct asked *q = &asked[i];

		q->since = recall(w, k, choose_since(w, k, i));
		q->ask = choose_ask(w, w->objects[k].pages, q->since->number, i == 0);
		q->given = client_ask(&w->client, &w->objects[k], &q->ask, &q->answer);
	}
}

static void judge_one(struct walk *w, struct asked *q, uint64_t number, const struct view *now,
		      const char *action)
{
	bool whole = q->ask.count == TO_END && q->ask.first == 0;

	if (!q->given) {
		atomic_fetch_add(&tally.gone, 1);
		if (!w->drops)
			wrong("%s: generation %" PRIu64 " is gone", action, q->ask.since);
		return;
	}
	judge_counts(&q->answer, &q->ask, now);
	if (whole && q->answer.generation != number)
		wrong("%s: nothing moved, but generation %" PRIu64 " is not %" PRIu64, action,
		      q->answer.generation, number);
	judge(&q->answer, &q->ask, &q->since->view, now, action);
}

/* In large swap entries pages may move without the oracle's seeing it. */
static bool moved_unseen(const struct object *o, const struct asked *asked, uint64_t number)
{
	for (size_t i = 0; o->large && i < ASKS; i++)
		if (asked[i].given && asked[i].answer.generation != number &&
		    asked[i].ask.count == TO_END && asked[i].ask.first == 0)
			return true;
	return false;
}

/*
 * A page that is being read is in the swap cache, but mincore says so only when it has been read:
 * with a slow disk both looks may have come before that. Returns false if so.
 */
static bool is_at_rest(const struct object *o, const struct view *was)
{
	const struct timespec while_it_is_read = {.tv_nsec = 300000000};
	struct view now;

	nanosleep(&while_it_is_read, NULL);
	truth_look(o, &now);
	return view_equal(was, &now);
}

/* Returns false if others moved pages meanwhile, so that nothing can be said. */
static bool try_to_judge(struct walk *w, int k, const char *action, bool count)
{
	struct asked asked[ASKS] = {0};
	struct object *o = &w->objects[k];
	struct view before, now, after;
	uint64_t number, others, differ;
	bool still;

	truth_look(o, &before);
	ask_all(w, k, asked);
	number = client_look(&w->client, o, 0, &now, NULL);
	others = truth_compare_others(o, &now, count);
	truth_look(o, &after);
	still = view_equal(&before, &after) && !moved_unseen(o, asked, number);
	differ = still ? truth_compare(o, &after, &now) + others : 0;
	if (differ > 0)
		still = is_at_rest(o, &after);
	if (still) {
		if (differ > 0)
			wrong("after %s a look is not what the system calls say", action);
		for (size_t i = 0; i < ASKS && asked[i].since; i++)
			judge_one(w, &asked[i], number, &now, action);
		remember(w, k, number, &now);
	}
	for (size_t i = 0; i < ASKS; i++)
		answer_done(&asked[i].answer);
	return still;
}

static void look_closely(struct walk *w, int k, const char *action, bool count)
{
	for (int i = 0; i < TRIES; i++) {
		if (try_to_judge(w, k, action, count)) {
			atomic_fetch_add(&tally.steps, 1);
			return;
		}
		atomic_fetch_add(&tally.moved, 1);
	}
}

/* ---- objects come and go ------------------------------------------------------------------- */

static void renew(struct walk *w, int k)
{
	struct answer answer;
	struct ask ask;

	if (w->n_told[k] > 0) {
		w->old[k] = recall(w, k, w->n_told[k] - 1)->number;
		object_done(&w->objects[k]);
	}
	object_make(&w->objects[k], (enum kind)k, 1 + below(&w->random, PAGES_MAX));
	w->n_told[k] = 0;
	look_closely(w, k, "made", true);
	for (int i = 0; i < KINDS; i++) {
		if (!w->old[i])
			continue;
		ask = choose_ask(w, 1, w->old[i], true);
		if (client_ask(&w->client, &w->objects[k], &ask, &answer))
			wrong("a new object has what was told of another");
		answer_done(&answer);
	}
}

static void check_memory(struct walk *w)
{
	uint64_t bytes = client_status(&w->client, "history", "bytes");
	uint64_t limit = client_status(&w->client, "limits", "historyBytes");

	if (bytes > limit)
		wrong("the history takes %" PRIu64 " bytes of %" PRIu64, bytes, limit);
}

void random_steps(unsigned long steps, bool drops, uint64_t seed)
{
	struct walk w = {.random = {seed}, .drops = drops};
	unsigned long until = atomic_load(&tally.steps) + steps, i = 0;
	uint64_t start = now_ms();

	heading("%lu random steps, %s of history", steps, drops ? SMALL : PLENTY);
	service_start(drops ? SMALL : PLENTY);
	client_open(&w.client);
	for (int k = 0; k < KINDS; k++) {
		w.memory[k] = calloc(REMEMBERED, sizeof(struct memory));
		if (!w.memory[k])
			die("out of memory");
		renew(&w, k);
	}
	for (; atomic_load(&tally.steps) < until && i < 2 * steps; i++) {
		int k = (int)below(&w.random, KINDS);
		const char *action = object_change(&w.objects[k], &w.random);

		look_closely(&w, k, action, i % COUNT_EVERY == 0);
		if (i % RENEW_EVERY == RENEW_EVERY - 1)
			renew(&w, (int)below(&w.random, KINDS));
		if (i % 100 == 0)
			check_memory(&w);
	}
	printf("   %lu generations dropped; %" PRIu64 " ms\n",
	       (unsigned long)client_status(&w.client, "history", "droppedGenerations"),
	       now_ms() - start);
	if (drops && client_status(&w.client, "history", "droppedGenerations") == 0 && steps > 300)
		wrong("no generation was dropped");
	client_close(&w.client);
	service_stop();
	for (int k = 0; k < KINDS; k++) {
		object_done(&w.objects[k]);
		free(w.memory[k]);
	}
}
