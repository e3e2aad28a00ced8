/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "delta-steps.h"

#define CLIENTS 4
#define TOLD_MAX (1 << 20) /* generations, a power of two */
#define LOOK_EVERY 16      /* deltas a client relies on; then it looks at all */

/* Moves pages of an object until it is told to stop. */
struct mover {
	struct object object;
	struct random random;
	atomic_bool stop;
	unsigned long moves;
	pthread_t thread;
};

static void *move(void *context)
{
	struct mover *m = context;

	for (; !atomic_load(&m->stop); m->moves++) {
		object_change(&m->object, &m->random);
		if (below(&m->random, 4) == 0)
			usleep((useconds_t)below(&m->random, 300));
	}
	return NULL;
}

/* Without a pause, and so that no two looks are alike. */
static void *move_always(void *context)
{
	struct mover *m = context;

	/* Who has no processor moves nothing. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), -20);
	for (; !atomic_load(&m->stop); m->moves++) {
		uint64_t page = below(&m->random, m->object.pages - 8);

		object_write(&m->object, page, 8);
		object_page_out(&m->object, page, 4);
		object_punch(&m->object, page, 3);
	}
	return NULL;
}

static void mover_start(struct mover *m, void *(*run)(void *), uint64_t seed)
{
	object_make(&m->object, KIND_MEMFD, PAGES_MAX);
	object_write(&m->object, 0, m->object.pages / 2);
	m->random.state = seed;
	if (pthread_create(&m->thread, NULL, run, m) != 0)
		die("no thread can be made");
}

static void mover_stop(struct mover *m)
{
	atomic_store(&m->stop, true);
	pthread_join(m->thread, NULL);
}

/* ---- several clients ----------------------------------------------------------------------- */

/* What a number stands for, whoever was told it. */
struct told {
	uint64_t number;
	uint64_t sum; /* of the view */
};

struct crowd {
	struct mover mover;
	pthread_mutex_t lock;
	struct told *told; /* hashed by number */
	atomic_bool stop;
	atomic_ulong met; /* a number that was told before */
};

struct member {
	struct crowd *crowd;
	struct random random;
	pthread_t thread;
};

static uint64_t sum_of(const struct view *v)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ v->pages;

	for (uint64_t page = 0; page < v->pages; page++)
		sum = (sum ^ v->state[page]) * UINT64_C(0x100000001b3);
	return sum;
}

static void meet(struct crowd *c, uint64_t number, const struct view *view, const char *how)
{
	uint64_t sum = sum_of(view), i;

	if (number == 0)
		return;
	pthread_mutex_lock(&c->lock);
	for (i = number % TOLD_MAX; c->told[i].number && c->told[i].number != number;)
		i = (i + 1) % TOLD_MAX;
	if (c->told[i].number && c->told[i].sum != sum)
		wrong("generation %" PRIu64 " is told in two ways, now %s", number, how);
	if (c->told[i].number)
		atomic_fetch_add(&c->met, 1);
	c->told[i] = (struct told){number, sum};
	pthread_mutex_unlock(&c->lock);
}

/* What was there must be as the client has it. */
static bool apply(const struct answer *a, struct view *view)
{
	uint64_t old = view->pages;

	for (uint64_t page = old; page < a->pages; page++)
		view->state[page] = BEYOND;
	view->pages = a->pages > old ? a->pages : old;
	for (size_t i = 0; i < a->n; i++) {
		const struct change *c = &a->changes[i];

		for (uint64_t page = c->first; page < c->first + c->count; page++) {
			if (page >= view->pages || view->state[page] != c->from)
				return false;
			view->state[page] = (uint8_t)c->to;
		}
		atomic_fetch_add(&tally.changed, c->count);
	}
	view->pages = a->pages;
	for (uint64_t page = 0; page < view->pages; page++)
		if (view->state[page] == BEYOND)
			return false;
	return true;
}

static uint64_t follow(struct member *m, struct client *client, struct view *view, uint64_t number)
{
	struct crowd *c = m->crowd;
	struct ask ask = ASK_ALL(number);
	struct answer a;
	bool good;

	ask.encoding = below(&m->random, 2) ? AS_FILE : AS_CHANGES;
	if (number == 0 || !client_ask(client, &c->mover.object, &ask, &a)) {
		atomic_fetch_add(&tally.gone, number != 0);
		number = client_look(client, &c->mover.object, 0, view, NULL);
		meet(c, number, view, "by a look");
		return number;
	}
	good = apply(&a, view);
	number = a.generation;
	answer_done(&a);
	atomic_fetch_add(&tally.deltas, 1);
	atomic_fetch_add(&tally.pages, view->pages);
	if (!good) {
		wrong("what changed from %" PRIu64 " to %" PRIu64 " does not fit", ask.since,
		      number);
		return 0;
	}
	meet(c, number, view, "by a delta");
	return number;
}

static void *be_client(void *context)
{
	struct member *m = context;
	struct client client;
	struct view view;
	uint64_t number = 0;

	client_open(&client);
	for (unsigned i = 0; !atomic_load(&m->crowd->stop); i++)
		number = follow(m, &client, &view, i % LOOK_EVERY == 0 ? 0 : number);
	client_close(&client);
	return NULL;
}

void parallel_clients(unsigned seconds, uint64_t seed)
{
	static struct crowd c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct member members[CLIENTS];
	unsigned long before = atomic_load(&tally.deltas);

	heading("%d clients at once, %u seconds", CLIENTS, seconds);
	service_start("64M");
	c.told = calloc(TOLD_MAX, sizeof(*c.told));
	if (!c.told)
		die("out of memory");
	mover_start(&c.mover, move, seed);
	for (unsigned i = 0; i < CLIENTS; i++) {
		members[i] = (struct member){.crowd = &c, .random = {seed + 100 + i}};
		if (pthread_create(&members[i].thread, NULL, be_client, &members[i]) != 0)
			die("no thread can be made");
	}
	sleep(seconds);
	atomic_store(&c.stop, true);
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(members[i].thread, NULL);
	mover_stop(&c.mover);
	printf("   %lu deltas, %lu numbers that two were told, %lu moves\n",
	       atomic_load(&tally.deltas) - before, atomic_load(&c.met), c.mover.moves);
	if (atomic_load(&tally.deltas) == before)
		wrong("no client was told a delta");
	object_done(&c.mover.object);
	free(c.told);
	service_stop();
}

/* ---- settling ------------------------------------------------------------------------------ */

#define SLACK_MS 2000 /* two processors, and others want them too */
/* Where the mover did not run between two looks they agree, and rightly so. */
#define SETTLE_TRIES 20

static bool settle_once(struct client *c, const struct object *o, unsigned ms, uint64_t *ret_took)
{
	uint64_t start = now_ms();
	struct view view;
	struct answer a;

	client_look(c, o, ms, &view, &a);
	*ret_took = now_ms() - start;
	return a.settled;
}

static uint64_t settle(struct client *c, const struct object *o, unsigned ms, bool expected,
		       const char *what)
{
	uint64_t took;
	bool settled = settle_once(c, o, ms, &took);

	for (int i = 0; i < SETTLE_TRIES && settled && !expected; i++)
		settled = settle_once(c, o, ms, &took);
	printf("   %s: %ssettled after %" PRIu64 " ms\n", what, settled ? "" : "not ", took);
	if (settled != expected)
		wrong("%s: %ssettled", what, settled ? "" : "not ");
	if (took > ms + SLACK_MS || (!expected && took < ms))
		wrong("%s: asked for %u ms, it took %" PRIu64, what, ms, took);
	return took;
}

static void *stop_soon(void *context)
{
	struct mover *m = context;

	usleep(300000);
	atomic_store(&m->stop, true);
	return NULL;
}

/* What stands still is settled, what moves is not, and what comes to rest is from then on. */
void settling(void)
{
	struct view truth, told;
	struct mover m = {0};
	struct client c;
	pthread_t stopper;

	heading("settling");
	service_start("64M");
	client_open(&c);
	mover_start(&m, move_always, 9);
	settle(&c, &m.object, 1, false, "moving, 1 ms");
	settle(&c, &m.object, 300, false, "moving, 300 ms");
	if (pthread_create(&stopper, NULL, stop_soon, &m) != 0)
		die("no thread can be made");
	settle(&c, &m.object, 10000, true, "moving, but not for long");
	pthread_join(stopper, NULL);
	mover_stop(&m);
	settle(&c, &m.object, 10000, true, "halted");
	client_look(&c, &m.object, 1000, &told, NULL);
	truth_look(&m.object, &truth);
	if (truth_compare(&m.object, &truth, &told) > 0)
		wrong("what settled is not what the system calls say");
	object_done(&m.object);
	client_close(&c);
	service_stop();
}
