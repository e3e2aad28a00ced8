/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * events-check LEVEL SWAP [HUGE-TMPFS] - what the kernel tells of objects of our own while they are
 * paged out to a swap that is synchronous (zram), and touched, punched, truncated. What really
 * left is what mincore says, before and after. Others page out too, so what does not fit is tried
 * again. Exit status 77: this level is not to be had here.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include "events-check.h"
#include "util/util.h"

#define TRIES 4
#define MANY 9 /* objects: more than are searched */

#define BIT(kind) (1u << (kind))

struct events *events;
struct object *o, *other;
static enum events_level level;
static const char *swap_name, *huge;
static uint64_t compared, wrong;

uint64_t consume(struct object *a, struct object *b)
{
	struct object *const objects[] = {a, b};
	struct hearing h = {.objects = objects, .n = b ? 2 : 1};
	int r = events_consume(events, hear, &h);

	if (r < 0)
		die("events_consume: %s", strerror(-r));
	return h.strange;
}

bool told_what_left(struct object *x, uint64_t *ret_left)
{
	uint64_t missing = 0, excess = 0, left = 0, lost = events_lost(events) - x->lost;

	object_look(x, x->after);
	consume(x, NULL);
	for (uint64_t i = 0; i < x->pages; i++) {
		bool went = (x->before[i] & 1) && !(x->after[i] & 1);
		bool told = x->told[i] & BIT(EVENT_SWAP_OUT);

		left += went;
		missing += went && !told;
		excess += told && !went;
	}
	compared += x->pages;
	*ret_left = left;
	if (missing || excess)
		printf("   left %ju, not told %ju, lost %ju, told but here %ju\n", (uintmax_t)left,
		       (uintmax_t)missing, (uintmax_t)lost, (uintmax_t)excess);
	if (missing > lost)
		wrong += missing - lost;
	return missing <= lost && excess == 0;
}

/* ---- swap-out ---------------------------------------------------------------------------------
 */

static bool case_range(void)
{
	uint64_t left, strange;

	object_write(o, 0, PAGES);
	object_write(other, 0, PAGES);
	object_forget(o, events);
	object_page_out(o, 100, 1500, 1);
	object_page_out(other, 0, PAGES, 1);
	strange = consume(o, NULL);
	return CHECK(told_what_left(o, &left)) & CHECK(left >= 1400) & CHECK(strange == 0) &
	       CHECK(o->unmatched[EVENT_SWAP_OUT] == 0);
}

static bool case_scattered(void)
{
	struct event_counts before, after;
	uint64_t left;

	object_write(o, 0, PAGES);
	object_forget(o, events);
	if (events_count(events, o->inode, &before) < 0)
		return CHECK(false);
	object_page_out(o, 1, PAGES - 1, 3);
	consume(o, NULL);
	return CHECK(told_what_left(o, &left)) & CHECK(left >= 600) &
	       CHECK(events_count(events, o->inode, &after) == 0) &
	       CHECK(after.n[EVENT_SWAP_OUT] - before.n[EVENT_SWAP_OUT] == left);
}

static bool case_anonymous(void)
{
	size_t size = PAGES * page_size;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 1, size);
	object_forget(o, events);
	(void)madvise(p, size, MADV_PAGEOUT);
	munmap(p, size);
	return CHECK(consume(o, NULL) == 0) & CHECK(o->events[EVENT_SWAP_OUT] == 0);
}

/* Not before there is something, then at the first, and again after that was consumed. */
static bool case_wakes(void)
{
	bool ok = true;

	object_write(o, 0, PAGES);
	for (uint64_t i = 0; i < 20; i++) {
		consume(o, NULL);
		ok &= CHECK(!events_readable(events, 0));
		object_page_out(o, i * 2, 1, 1);
		ok &= CHECK(events_readable(events, 1000));
	}
	return ok;
}

static bool case_large(void)
{
	struct object *large;
	uint64_t left, entries;
	bool ok;

	if (!huge)
		return true;
	large = object_new(PAGES, huge);
	object_write(large, 0, PAGES);
	object_forget(large, events);
	ok = CHECK(events_watch(events, large->inode) == 0);
	object_page_out(large, 0, PAGES, 1);
	consume(large, NULL);
	ok &= CHECK(told_what_left(large, &left));
	entries = large->events[EVENT_SWAP_OUT];
	printf("   %ju pages in large folios left, %ju events\n", (uintmax_t)left,
	       (uintmax_t)entries);
	events_unwatch(events, large->inode);
	object_free(large);
	return ok;
}

/* Objects beside it, so many that not all can be searched. */
static bool watch_many(struct object *many[MANY])
{
	bool ok = true;

	for (int i = 0; i < MANY; i++) {
		many[i] = object_new(64, NULL);
		ok &= CHECK(events_watch(events, many[i]->inode) == 0);
	}
	return ok;
}

static bool case_many(void)
{
	struct object *many[MANY];
	struct event_counts counts;
	uint64_t left;
	bool ok = watch_many(many);
	object_write(o, 0, PAGES);
	object_forget(o, events);
	object_page_out(o, 0, PAGES / 2, 1);
	consume(o, NULL);
	ok &= CHECK(told_what_left(o, &left)) & CHECK(left >= PAGES / 2 - 50);
	ok &= CHECK((o->unmatched[EVENT_SWAP_OUT] > 0) == (level == EVENTS_SWAP_OUT));
	ok &= CHECK(events_count(events, o->inode, &counts) ==
		    (level == EVENTS_SWAP_OUT ? -EOPNOTSUPP : 0));
	ok &= case_touched();
	for (int i = 0; i < MANY; i++) {
		events_unwatch(events, many[i]->inode);
		object_free(many[i]);
	}
	events_unwatch(events, o->inode);
	return ok & CHECK(events_watch(events, o->inode) == 0);
}

static bool case_all(void)
{
	uint64_t left;
	bool ok = CHECK(events_watch_all(events) == 0);

	object_write(other, 0, PAGES);
	object_forget(o, events);
	object_forget(other, events);
	object_page_out(other, 0, PAGES, 1);
	consume(o, other);
	ok &= CHECK(told_what_left(other, &left)) & CHECK(left >= PAGES - 50);
	ok &= CHECK((other->unmatched[EVENT_SWAP_OUT] > 0) == (level == EVENTS_SWAP_OUT));
	events_unwatch_all(events);
	return ok & CHECK(events_attached(events));
}

/* ---- losses -----------------------------------------------------------------------------------
 */

static bool case_dropped(void)
{
	uint64_t lost = events_lost(events), told = 0, left = 0;

	object_write(o, 0, PAGES);
	object_forget(o, events);
	events_set_drop(events, 3);
	object_page_out(o, 0, PAGES, 2);
	events_set_drop(events, 0);
	consume(o, NULL);
	object_look(o, o->after);
	for (uint64_t i = 0; i < PAGES; i++) {
		left += (o->before[i] & 1) && !(o->after[i] & 1);
		told += (o->told[i] & BIT(EVENT_SWAP_OUT)) != 0;
	}
	lost = events_lost(events) - lost;
	return CHECK(lost >= left / 3 - 1) & CHECK(told + lost == left) & CHECK(left >= 1000);
}

/* Nobody consumes, until the ring buffer is full. */
static bool case_overflow(void)
{
	struct object *big = object_new(40000, NULL);
	uint64_t lost = events_lost(events), told = 0, left = 0;
	bool ok = CHECK(events_watch(events, big->inode) == 0);

	object_write(big, 0, big->pages);
	consume(big, NULL);
	object_forget(big, events);
	object_page_out(big, 0, big->pages, 2);
	consume(big, NULL);
	object_look(big, big->after);
	for (uint64_t i = 0; i < big->pages; i++) {
		left += (big->before[i] & 1) && !(big->after[i] & 1);
		told += (big->told[i] & BIT(EVENT_SWAP_OUT)) != 0;
	}
	lost = events_lost(events) - lost;
	printf("   overflow: %ju left, %ju told, %ju lost\n", (uintmax_t)left, (uintmax_t)told,
	       (uintmax_t)lost);
	ok &= CHECK(lost > 0) & CHECK(told + lost == left);
	events_unwatch(events, big->inode);
	object_free(big);
	return ok;
}

/* ---- other kinds ------------------------------------------------------------------------------
 */

static bool all_told(const struct object *x, uint64_t first, uint64_t count, unsigned kinds)
{
	uint64_t missing = 0, excess = 0;

	for (uint64_t i = 0; i < x->pages; i++) {
		bool inside = i >= first && i < first + count;

		missing += inside && !(x->told[i] & kinds);
		excess += !inside && (x->told[i] & kinds);
	}
	compared += x->pages;
	wrong += missing;
	if (missing || excess)
		printf("   not told %ju, told in excess %ju\n", (uintmax_t)missing,
		       (uintmax_t)excess);
	return missing == 0 && excess == 0;
}

static bool case_swap_in(void)
{
	object_write(o, 0, PAGES);
	object_page_out(o, 0, PAGES, 1);
	consume(o, NULL);
	object_forget(o, events);
	object_touch(o, 500, 300);
	consume(o, NULL);
	return CHECK(all_told(o, 500, 300, BIT(EVENT_INSERT))) &
	       CHECK(!events_tells(events, EVENT_SWAP_IN) ||
		     all_told(o, 500, 300, BIT(EVENT_SWAP_IN)));
}

static bool case_remove(void)
{
	bool ok;

	object_write(o, 0, PAGES);
	object_page_out(o, 0, PAGES / 2, 1);
	consume(o, NULL);
	object_forget(o, events);
	if (fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(10 * page_size),
		      (off_t)(50 * page_size)) < 0)
		die("punch: %s", strerror(errno));
	consume(o, NULL);
	ok = CHECK(all_told(o, 10, 50, BIT(EVENT_REMOVE)));
	object_forget(o, events);
	object_touch(o, 20, 5);
	consume(o, NULL);
	ok &= CHECK(all_told(o, 20, 5, BIT(EVENT_INSERT)));
	object_forget(o, events);
	if (ftruncate(o->fd, (off_t)(PAGES / 4 * page_size)) < 0)
		die("truncate: %s", strerror(errno));
	consume(o, NULL);
	ok &= CHECK(all_told(o, PAGES / 4, PAGES - PAGES / 4, BIT(EVENT_REMOVE)));
	if (ftruncate(o->fd, (off_t)(PAGES * page_size)) < 0)
		die("truncate: %s", strerror(errno));
	return ok;
}

static bool case_swapoff(void)
{
	object_write(o, 0, PAGES);
	object_page_out(o, 0, PAGES, 1);
	consume(o, NULL);
	object_forget(o, events);
	if (swapoff(swap_name) < 0)
		die("swapoff %s: %s", swap_name, strerror(errno));
	if (swapon(swap_name, SWAP_FLAG_PREFER | 32767) < 0)
		die("swapon %s: %s", swap_name, strerror(errno));
	consume(o, NULL);
	return CHECK(o->events[EVENT_SWAPOFF] > 0 || !events_tells(events, EVENT_SWAPOFF)) &
	       CHECK(all_told(o, 0, PAGES, BIT(EVENT_INSERT)));
}

/* ---- attaching --------------------------------------------------------------------------------
 */

static bool case_attached(void)
{
	bool ok = CHECK(events_links() > 0) & CHECK(events_attached(events));

	ok &= CHECK(events_watch(events, o->inode) == 0);
	events_unwatch(events, o->inode);
	ok &= CHECK(events_links() > 0);
	events_unwatch(events, o->inode);
	ok &= CHECK(events_links() == 0) & CHECK(!events_attached(events));
	object_write(o, 0, PAGES);
	object_page_out(o, 0, PAGES, 1);
	ok &= CHECK(events_watch(events, o->inode) == 0);
	object_forget(o, events);
	return ok & CHECK(consume(o, NULL) == 0) & CHECK(o->events[EVENT_SWAP_OUT] == 0);
}

/* Attaches and hears without any capability. */
static bool watch_unprivileged(void)
{
	struct events *more;
	uint64_t left;
	bool ok;

	drop_privileges();
	if (events_new(level, &more) < 0)
		return false;
	ok = CHECK(events_level(more) == EVENTS_NONE) & CHECK(events_links() == 0);
	events_free(more);
	ok &= CHECK(events_watch(events, o->inode) == 0) & CHECK(events_links() > 0);
	object_write(o, 0, PAGES);
	object_forget(o, events);
	object_page_out(o, 0, PAGES, 2);
	consume(o, NULL);
	return ok & CHECK(told_what_left(o, &left)) & CHECK(left >= 900);
}

static bool case_unprivileged(void)
{
	pid_t pid;
	int status;
	bool ok;

	/* What the parent holds stays attached. */
	events_unwatch(events, o->inode);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		ok = watch_unprivileged();
		fflush(stdout);
		_exit(ok ? 0 : 1);
	}
	ok = CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	return ok & CHECK(events_watch(events, o->inode) == 0);
}

static const struct {
	const char *name;
	bool (*run)(void);
	enum events_level from;
} cases[] = {
	{"range", case_range, EVENTS_SWAP_OUT},
	{"scattered", case_scattered, EVENTS_SWAP_OUT},
	{"anonymous", case_anonymous, EVENTS_SWAP_OUT},
	{"wakes", case_wakes, EVENTS_SWAP_OUT},
	{"large", case_large, EVENTS_SWAP_OUT},
	{"touched", case_touched, EVENTS_SWAP_OUT},
	{"many", case_many, EVENTS_SWAP_OUT},
	{"all", case_all, EVENTS_SWAP_OUT},
	{"dropped", case_dropped, EVENTS_SWAP_OUT},
	{"overflow", case_overflow, EVENTS_SWAP_OUT},
	{"concurrent", case_concurrent, EVENTS_SWAP_OUT},
	{"attached", case_attached, EVENTS_SWAP_OUT},
	{"swap-in", case_swap_in, EVENTS_ALL},
	{"remove", case_remove, EVENTS_ALL},
	{"swapoff", case_swapoff, EVENTS_ALL},
	{"unprivileged", case_unprivileged, EVENTS_SWAP_OUT},
};

/* In objects of its own; what others do meanwhile may spoil it. */
static bool try_case(size_t i)
{
	uint64_t wrong_before = wrong;
	bool ok = false;

	for (int k = 0; k < TRIES && !ok; k++) {
		wrong = wrong_before;
		o = object_new(PAGES, NULL);
		other = object_new(PAGES, NULL);
		if (events_watch(events, o->inode) < 0)
			die("events_watch");
		ok = cases[i].run();
		events_unwatch(events, o->inode);
		object_free(o);
		object_free(other);
	}
	printf("%s %s\n", ok ? "ok  " : "FAIL", cases[i].name);
	return ok;
}

int main(int argc, char **argv)
{
	bool ok = true;
	int r;

	if (argc < 3)
		die("usage: events-check swap_out|all SWAP [HUGE-TMPFS]");
	page_size = (uint64_t)getpagesize();
	level = strcmp(argv[1], "all") == 0 ? EVENTS_ALL : EVENTS_SWAP_OUT;
	swap_name = argv[2];
	huge = argc > 3 ? argv[3] : NULL;
	r = events_new(level, &events);
	if (r < 0)
		die("events_new: %s", strerror(-r));
	if (events_level(events) != level) {
		printf("this kernel has no events of level %s: %s\n", argv[1],
		       strerror(-events_error(events, level)));
		return 77;
	}
	for (enum event_kind kind = 0; kind < EVENT_KIND_MAX; kind++)
		printf("   %s: %s\n", event_kind_to_string(kind),
		       events_tells(events, kind) ? "told" : "not told");
	ok &= CHECK(events_links() == 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (cases[i].from <= level)
			ok &= try_case(i);
	ok &= CHECK(events_links() == 0);
	events_free(events);
	printf("%ju compared, %ju wrong\n", (uintmax_t)compared, (uintmax_t)wrong);
	return ok ? 0 : 1;
}
