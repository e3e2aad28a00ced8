/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * locate-scenarios [--dir=DIR] [--pages=N] [--rounds=N] [--reclaim=FILE] SCENARIO - pages an object
 * out, asks where its pages are, and reads them there. --dir: the object is a file of that tmpfs
 * (else a memfd); --reclaim: memory.reclaim or memory.force_empty of the memory cgroup that this
 * runs in.
 */

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "locate-check.h"
#include "util/util.h"

struct run {
	struct subject subject;
	struct tally tally;
	uint64_t rounds;
};

static void check_all(struct run *r)
{
	subject_check(&r->subject, 0, r->subject.pages, &r->tally);
}

/* Written, paged out, again and again: slots are used by other pages each time. */
static void run_plain(struct run *r)
{
	struct subject *s = &r->subject;

	for (uint64_t i = 0; i < r->rounds; i++) {
		subject_write(s, 0, s->pages, 0);
		subject_page_out(s, 0, s->pages);
		check_all(r);
		if (i % 2) {
			subject_reclaim(s);
			check_all(r);
		}
	}
}

/* Since 6.12 pages of zeros are not written. */
static bool kernel_has_zero_slots(void)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	return sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 12));
}

static void run_zero(struct run *r)
{
	struct subject *s = &r->subject;

	for (uint64_t i = 0; i < r->rounds; i++) {
		subject_write(s, 0, s->pages, 2 + i % 5);
		subject_page_out(s, 0, s->pages);
		subject_reclaim(s);
		check_all(r);
	}
	if (r->tally.zero == 0 && kernel_has_zero_slots()) {
		printf("WRONG: no zero page was found\n");
		r->tally.wrong++;
	}
}

/* Parts are punched, read, written anew, and all is paged out again: slots mix. */
static void run_reuse(struct run *r)
{
	struct subject *s = &r->subject;
	uint64_t part = s->pages / 64;

	subject_write(s, 0, s->pages, 7);
	for (uint64_t i = 0; i < r->rounds; i++) {
		for (uint64_t k = i % 4; k + 2 < 64; k += 4) {
			subject_punch(s, k * part, part);
			subject_write(s, (k + 1) * part, part, 5);
			subject_touch(s, (k + 2) * part, part, 3);
		}
		check_all(r);
		subject_page_out(s, 0, s->pages);
		if (i % 2)
			subject_reclaim(s);
		check_all(r);
	}
}

/* A page that is read brings neighbours into the swap cache, unchanged. */
static void run_readahead(struct run *r)
{
	struct subject *s = &r->subject;

	for (uint64_t i = 0; i < r->rounds; i++) {
		subject_write(s, 0, s->pages, 0);
		subject_page_out(s, 0, s->pages);
		subject_reclaim(s);
		/* Only pages that follow each other make the kernel read ahead. */
		for (uint64_t at = i; at + 4 < s->pages; at += 64)
			subject_touch(s, at, 4, 1);
		check_all(r);
	}
}

/* Everything at once: another thread pages in and out while pages are located and read. */
struct churn {
	struct subject *subject;
	bool stop;
};

static void *churn_pages(void *context)
{
	struct churn *c = context;
	struct subject *s = c->subject;
	uint64_t window = MIN(s->pages, 512), seed = 1;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		uint64_t at;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		at = (seed >> 33) % (s->pages / window) * window;
		subject_touch(s, at + (seed >> 20) % window / 2, window / 2, 1 + (seed >> 50) % 40);
		if (seed >> 60 < 12)
			subject_page_out(s, at, window);
	}
	return NULL;
}

static void run_churn(struct run *r)
{
	struct subject *s = &r->subject;
	struct churn c = {.subject = s};
	pthread_t thread;

	subject_write(s, 0, s->pages, 11);
	subject_page_out(s, 0, s->pages);
	s->quiet = false;
	if (pthread_create(&thread, NULL, churn_pages, &c) != 0)
		die("no thread");
	for (uint64_t i = 0; i < r->rounds; i++)
		for (uint64_t at = 0; at < s->pages; at += 256)
			subject_check(s, at, MIN(s->pages - at, 256), &r->tally);
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	s->quiet = true;
	check_all(r);
}

/* For large folios, which go out whole: read here and there they are split. */
static void run_large(struct run *r)
{
	struct subject *s = &r->subject;

	for (uint64_t i = 0; i < r->rounds; i++) {
		subject_write(s, 0, s->pages, 0);
		subject_page_out(s, 0, s->pages);
		check_all(r);
		subject_reclaim(s);
		check_all(r);
		subject_touch(s, i * 37 % 512, s->pages - 512, 512 + i * 64);
		check_all(r);
		subject_page_out(s, 0, s->pages);
		check_all(r);
	}
}

/*
 * With zswap enabled by the caller. Once its pool is full it writes back what came first; but each
 * page that it has to refuse makes it look at 16 of those that it has, and at each twice.
 */
static void run_zswap(struct run *r)
{
	struct subject *s = &r->subject;

	s->half_random = true;
	for (uint64_t i = 0; i < r->rounds; i++) {
		subject_write(s, 0, s->pages, 9);
		subject_page_out(s, 0, s->pages);
		check_all(r);
		subject_reclaim(s);
		check_all(r);
		for (uint64_t page = s->pages - s->pages / 8; page < s->pages; page++) {
			subject_write(s, page, 1, 0);
			subject_page_out(s, page, 1);
			if (page % 128 == 0)
				subject_check(s, (page * 37) % (s->pages - 256), 256, &r->tally);
		}
		check_all(r);
	}
	if (r->tally.zswap == 0) {
		printf("WRONG: nothing was found in zswap\n");
		r->tally.wrong++;
	}
}

/* The program's lines about this object; the caller closes them. */
static FILE *ask_program(const struct subject *s, const char *verb, const char *options)
{
	const char *program = getenv("SHMSTATECTL");
	char command[1024];
	FILE *f;

	snprintf(command, sizeof(command), "%s %s --pid=%d --address=%lx %s 2>/dev/null",
		 program ? program : "./shmstatectl", verb, (int)getpid(), (unsigned long)s->map,
		 options);
	f = popen(command, "r");
	if (!f)
		die("%s: no pipe", command);
	return f;
}

static void complain(struct run *r, const char *what, uint64_t page)
{
	printf("WRONG: %s, page %" PRIu64 "\n", what, page);
	r->tally.wrong++;
}

/* The first line that differs from what was expected. */
struct difference {
	uint64_t page;
	char line[256], expected[256];
};

/* Does shmstatectl locate say what the library says? */
static bool verb_agrees(const struct subject *s, const struct slot_map *map, struct difference *d)
{
	static const char *const cached[] = {"no", "yes", ""};
	FILE *f = ask_program(s, "locate", "--format=csv --no-legend");
	bool agrees = true;

	for (size_t i = 0; i <= map->n_items && agrees; i++) {
		const struct slot_extent *e = &map->items[i];

		*d = (struct difference){.page = s->pages};
		if (i < map->n_items) {
			d->page = e->first;
			snprintf(d->expected, sizeof(d->expected),
				 "%" PRIu64 ",%" PRIu64 ",%u,%" PRIu64 ",%s,%s,%s\n", e->first,
				 e->count, e->type, e->offset, slot_content_to_string(e->content),
				 cached[e->cached], map->swaps[e->type].path);
		}
		if (!fgets(d->line, sizeof(d->line), f))
			d->line[0] = 0;
		agrees = strcmp(d->line, d->expected) == 0;
	}
	pclose(f);
	return agrees;
}

static bool same_extents(const struct slot_map *a, const struct slot_map *b)
{
	if (a->n_items != b->n_items)
		return false;
	for (size_t i = 0; i < a->n_items; i++) {
		const struct slot_extent *e = &a->items[i], *f = &b->items[i];

		if (e->first != f->first || e->count != f->count || e->type != f->type ||
		    e->offset != f->offset || e->content != f->content || e->cached != f->cached)
			return false;
	}
	return true;
}

/*
 * The library is asked before and after. Where it changed its answer, all is asked once more: who
 * faults in a page of its own, as this process does when it starts the program, has the kernel
 * read ahead pages of ours that lie beside it in the swap.
 */
static void check_verb(struct run *r, struct slot_map *map)
{
	struct probe_request request = {
		.fd = r->subject.fd, .caps = &r->subject.caps, .range = PROBE_ALL};
	struct difference d;
	bool agrees = false, same = false;

	for (int tries = 0; tries < 20; tries++) {
		struct slot_map after = {0};

		agrees = verb_agrees(&r->subject, map, &d);
		locate(&r->subject, &request, &after);
		same = same_extents(map, &after);
		slot_map_done(map);
		*map = after;
		if (same)
			break;
	}
	if (!same)
		complain(r, "pages moved in each of 20 tries", 0);
	else if (!agrees) {
		printf("said:     %sexpected: %s", d.line, d.expected);
		complain(r, "shmstatectl locate", d.page);
	}
}

/* pagemap --format=raw has type and offset as the kernel writes them. */
static void check_raw(struct run *r, const struct slot_map *map)
{
	struct subject *s = &r->subject;
	unsigned long first = (unsigned long)s->map;
	char options[128];
	uint64_t word;
	FILE *f;

	snprintf(options, sizeof(options), "--format=raw --range=%lx-%lx", first,
		 first + (unsigned long)s->pages * PAGE);
	f = ask_program(s, "pagemap", options);
	for (uint64_t page = 0; page < s->pages; page++) {
		const struct slot_extent *e = slot_map_seek(map, page);
		bool has = e && e->first <= page;

		if (fread(&word, sizeof(word), 1, f) != 1)
			die("pagemap: too few words");
		if (has != (word >> 62 & 1))
			complain(r, "swap bit", page);
		else if (has &&
			 ((word & 31) != e->type ||
			  (word >> 5 & ((UINT64_C(1) << 50) - 1)) != e->offset + (page - e->first)))
			complain(r, "type or offset", page);
		r->tally.compared++;
	}
	pclose(f);
}

/* What the program prints is what the library says, so far as nobody else moves pages. */
static void run_program(struct run *r)
{
	struct subject *s = &r->subject;
	struct probe_request request = {.fd = s->fd, .caps = &s->caps, .range = PROBE_ALL};
	struct slot_map map = {0};

	subject_write(s, 0, s->pages, 13);
	subject_page_out(s, 0, s->pages);
	subject_reclaim(s);
	subject_touch(s, 0, s->pages, 100);
	check_all(r);
	locate(s, &request, &map);
	check_verb(r, &map);
	check_raw(r, &map);
	slot_map_done(&map);
}

static const struct {
	const char *name;
	void (*run)(struct run *r);
} scenarios[] = {
	{"plain", run_plain},         {"zero", run_zero},       {"reuse", run_reuse},
	{"readahead", run_readahead}, {"churn", run_churn},     {"large", run_large},
	{"zswap", run_zswap},         {"program", run_program},
};

static void report(const struct run *r, double seconds)
{
	const struct tally *t = &r->tally;

	printf("%" PRIu64 " compared (%" PRIu64 " of them cached), %" PRIu64 " zero, %" PRIu64
	       " zswap, %" PRIu64 " unknown, %" PRIu64 " moved, %" PRIu64 " wrong, %.1f s\n",
	       t->compared, t->cached, t->zero, t->zswap, t->unknown, t->moved, t->wrong, seconds);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool run_scenario(const char *name, const char *dir, uint64_t pages, struct run *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		double start = now();

		if (strcmp(scenarios[i].name, name) != 0)
			continue;
		subject_open(&r->subject, dir, pages);
		scenarios[i].run(r);
		report(r, now() - start);
		subject_done(&r->subject);
		return true;
	}
	return false;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{"dir", required_argument, NULL, 'd'},
		{"pages", required_argument, NULL, 'p'},
		{"rounds", required_argument, NULL, 'r'},
		{"reclaim", required_argument, NULL, 'c'},
		{NULL, 0, NULL, 0},
	};
	struct run r = {.rounds = 4};
	uint64_t pages = 16384;
	const char *dir = NULL;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			dir = optarg;
		else if (c == 'p')
			pages = strtoull(optarg, NULL, 10);
		else if (c == 'r')
			r.rounds = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			r.subject.reclaim = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc || pages < 1024 || !run_scenario(argv[optind], dir, pages, &r))
		die("which scenario? at least 1024 pages");
	return r.tally.wrong > 0;
}
