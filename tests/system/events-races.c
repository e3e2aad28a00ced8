/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "events-check.h"
#include "util/stop.h"
#include "util/util.h"

static struct object *third;

static void *touch_on(void *context)
{
	atomic_bool *stop = context;

	while (!atomic_load(stop))
		object_touch(o, 0, PAGES);
	return NULL;
}

/*
 * Somebody touches what is being paged out: some pages are back before the kernel tells. As many
 * are told as it counts to have been written; others who page out meanwhile spoil that.
 */
bool case_touched(void)
{
	atomic_bool stop = false;
	uint64_t before, went, lost = events_lost(events);
	uint64_t until = monotonic_ns() + UINT64_C(5000000000);
	pthread_t thread;

	object_write(o, 0, PAGES);
	consume(o, NULL);
	object_forget(o, events);
	before = swapped_out();
	pthread_create(&thread, NULL, touch_on, &stop);
	while (swapped_out() - before < 3 * PAGES && monotonic_ns() < until) {
		object_page_out(o, 0, PAGES, 1);
		consume(o, NULL);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	consume(o, NULL);
	went = swapped_out() - before;
	lost = events_lost(events) - lost;
	printf("   touched meanwhile: %ju written, %ju told, %ju lost\n", (uintmax_t)went,
	       (uintmax_t)o->written, (uintmax_t)lost);
	return CHECK(went > PAGES) & CHECK(o->written + lost >= went);
}

struct paging_out {
	struct object *object;
	uint64_t step;
	pthread_t thread;
};

static void *page_out_slowly(void *context)
{
	const struct paging_out *p = context;

	object_page_out(p->object, 0, PAGES, p->step);
	return NULL;
}

/* What else is watched changes, too. */
static void consume_until_out(struct paging_out *p)
{
	while (pthread_tryjoin_np(p->thread, NULL) == EBUSY) {
		consume(o, other);
		if (events_watch(events, third->inode) == 0)
			events_unwatch(events, third->inode);
	}
}

static bool page_out_both(uint64_t step)
{
	struct paging_out both[] = {{.object = o, .step = step}, {.object = other, .step = step}};
	struct event_counts before, after;
	uint64_t left;
	bool ok;

	object_write(o, 0, PAGES);
	object_write(other, 0, PAGES);
	consume(o, other);
	object_forget(o, events);
	object_forget(other, events);
	ok = CHECK(events_count(events, o->inode, &before) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		pthread_create(&both[i].thread, NULL, page_out_slowly, &both[i]);
	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		consume_until_out(&both[i]);
	consume(o, other);
	ok &= CHECK(told_what_left(other, &left)) & CHECK(told_what_left(o, &left));
	return ok & CHECK(events_count(events, o->inode, &after) == 0) &
	       CHECK(after.n[EVENT_SWAP_OUT] - before.n[EVENT_SWAP_OUT] + events_lost(events) -
			     o->lost >=
		     left);
}

/*
 * Two at a time, page by page and all at once, and a consumer that interrupts them: nothing may be
 * lost on the way.
 */
bool case_concurrent(void)
{
	uint64_t lost = events_lost(events);
	bool ok = true;

	third = object_new(64, NULL);
	events_watch(events, other->inode);
	for (int round = 0; round < 4; round++)
		ok &= page_out_both(round % 2 + 1);
	events_unwatch(events, other->inode);
	object_free(third);
	printf("   concurrently: %ju lost, and counted\n", (uintmax_t)(events_lost(events) - lost));
	return ok;
}
