/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "race.h"
#include "util/util.h"

/* A round that takes longer than this hangs. */
#define ROUND_SECONDS_MAX 120

static const char letters[] = ".aPCSXc?-";

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("race: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void planes_make(struct planes *p, uint64_t pages)
{
	for (int b = 0; b < 3; b++)
		p->state[b] = calloc(pages / 64, sizeof(uint64_t));
	p->held = calloc(pages / 64, sizeof(uint64_t));
	if (!p->state[0] || !p->state[1] || !p->state[2] || !p->held)
		die("no memory");
}

static void planes_done(struct planes *p)
{
	for (int b = 0; b < 3; b++)
		free(p->state[b]);
	free(p->held);
}

/* Held still are pages that are the same before and after. Adds them up, by state. */
static void keep_held(struct race *r, uint64_t counts[PAGE_STATE_MAX])
{
	for (uint64_t word = 0; word < r->pages / 64; word++) {
		uint64_t same = r->before.held[word] & r->after.held[word];

		for (int b = 0; b < 3; b++)
			same &= ~(r->before.state[b][word] ^ r->after.state[b][word]);
		r->after.held[word] = same;
		for (int state = 0; state < PAGE_STATE_MAX; state++) {
			uint64_t pages = same;

			for (int b = 0; b < 3; b++)
				pages &= state >> b & 1 ? r->before.state[b][word]
							: ~r->before.state[b][word];
			counts[state] += (uint64_t)__builtin_popcountll(pages);
		}
	}
}

static bool is_held(const struct race *r, uint64_t page)
{
	return r->after.held[page / 64] >> page % 64 & 1;
}

static void print_suspect(const char *what, const struct scanner *s, const struct suspect *x)
{
	printf("%s %s: page %llu (region of kind %d): expected %c, got %c; around: ", what, s->name,
	       (unsigned long long)x->page, region_kind(x->page), letters[x->expected],
	       letters[x->got]);
	for (size_t i = 0; i < ARRAY_SIZE(x->around); i++)
		putchar(letters[x->around[i]]);
	printf(" roles: ");
	for (uint64_t i = 0; i < ARRAY_SIZE(x->around); i++) {
		uint64_t page = x->page + i - 8;

		putchar(page < s->race->pages ? "m.aPSC"[s->race->role[page]] : '-');
	}
	putchar('\n');
}

/* How many pages held still before each page. */
static uint64_t *sum_up(const struct race *r)
{
	uint64_t *sums = calloc(r->pages + 1, sizeof(*sums));

	if (!sums)
		die("no memory");
	for (uint64_t page = 0; page < r->pages; page++)
		sums[page + 1] = sums[page] + is_held(r, page);
	return sums;
}

static void judge(struct scanner *s, const uint64_t *sums)
{
	for (size_t i = 0; i < s->n_ranges; i++)
		s->classifications +=
			sums[s->ranges[i].first + s->ranges[i].count] - sums[s->ranges[i].first];
	for (size_t i = 0; i < s->n_suspects; i++) {
		const struct suspect *x = &s->suspects[i];

		if (!is_held(s->race, x->page))
			continue;
		if (x->got == PAGE_UNKNOWN) {
			if (s->unknown++ < 3 && s->prober.slots.way != SWAP_WAY_NONE)
				print_suspect("unknown", s, x);
			continue;
		}
		if (s->wrong++ < 20)
			print_suspect("WRONG", s, x);
	}
}

static void run_round(struct race *r, struct scanner *scanners, size_t n, unsigned milliseconds)
{
	static uint64_t random = 1;
	struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
	struct mover movers[N_MOVERS];
	pthread_t threads[N_MOVERS + 8];
	size_t n_threads = 0;

	atomic_store(&r->stop, false);
	for (unsigned i = 0; i < N_MOVERS; i++) {
		movers[i] = (struct mover){r, i, next_random(&random)};
		if (pthread_create(&threads[n_threads++], NULL, mover, &movers[i]) != 0)
			die("no thread");
	}
	for (size_t i = 0; i < n; i++)
		if (pthread_create(&threads[n_threads++], NULL, scanner_run, &scanners[i]) != 0)
			die("no thread");
	nanosleep(&time, NULL);
	atomic_store(&r->stop, true);
	while (n_threads > 0)
		pthread_join(threads[--n_threads], NULL);
}

struct totals {
	uint64_t classifications;
	uint64_t wrong;
	uint64_t unknown;
	uint64_t scans;
	uint64_t longest_chunk_ns;
};

static void add_up(struct scanner *s, struct totals *t)
{
	struct walker_stats stats;

	walker_get_stats(s->prober.walker, &stats);
	printf("%-12s %9llu scans (%llu unstable), %.0f us each, longest %.0f us; "
	       "%llu classifications, %llu wrong, %llu unknown, %llu that had moved; chunk %.1f "
	       "us, "
	       "longest %.0f us\n",
	       s->name, (unsigned long long)s->scans, (unsigned long long)s->unstable,
	       (double)s->total_ns / 1e3 / (double)MAX(s->scans, (uint64_t)1),
	       (double)s->longest_ns / 1e3, (unsigned long long)s->classifications,
	       (unsigned long long)s->wrong, (unsigned long long)s->unknown,
	       (unsigned long long)s->moved,
	       (double)stats.total_ns / 1e3 / (double)MAX(stats.chunks, (uint64_t)1),
	       (double)stats.max_ns / 1e3);
	t->classifications += s->classifications;
	t->wrong += s->wrong;
	/* Without swap_info some pages cannot be told, and that is said. */
	t->unknown += s->prober.slots.way == SWAP_WAY_NONE ? 0 : s->unknown;
	t->scans += s->scans;
	t->longest_chunk_ns = MAX(t->longest_chunk_ns, stats.max_ns);
}

static bool enough(const uint64_t held[PAGE_STATE_MAX], uint64_t rounds)
{
	static const enum page_state needed[] = {PAGE_HOLE, PAGE_ALLOCATED, PAGE_PRESENT,
						 PAGE_SWAPPED};
	bool all = true;

	printf("held still, pages of a round:");
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (held[i] > 0)
			printf(" %s %llu", page_state_to_string((enum page_state)i),
			       (unsigned long long)(held[i] / rounds));
	putchar('\n');
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		all &= held[needed[i]] / rounds >= 100;
	return all;
}

/* What the system did meanwhile, others included: that what should race did happen. */
static const char *const events[] = {
	"pswpin",        "pswpout", "thp_swpout", "thp_file_alloc", "thp_collapse_alloc",
	"thp_split_page"};

static void read_events(uint64_t counts[ARRAY_SIZE(events)])
{
	FILE *file = fopen("/proc/vmstat", "re");
	char name[64];
	unsigned long long value;

	while (file && fscanf(file, "%63s %llu", name, &value) == 2)
		for (size_t i = 0; i < ARRAY_SIZE(events); i++)
			if (strcmp(name, events[i]) == 0)
				counts[i] = value;
	if (file)
		fclose(file);
}

static void print_events(const uint64_t before[ARRAY_SIZE(events)])
{
	uint64_t now[ARRAY_SIZE(events)] = {0};

	read_events(now);
	printf("the system meanwhile:");
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		printf(" %s %llu", events[i], (unsigned long long)(now[i] - before[i]));
	putchar('\n');
}

static int run(struct race *r, unsigned seconds, unsigned round_ms)
{
	struct scanner scanners[] = {
		{.name = "whole", .whole = true, .prober = {0}},
		{.name = "parts, table", .range_max = r->pages, .random = 2},
		{.name = "no swap_info", .range_max = 1024, .random = 3, .pause_us = 3000},
	};
	uint64_t held[PAGE_STATE_MAX] = {0}, rounds = 0, counts[ARRAY_SIZE(events)] = {0};
	struct totals t = {0};
	time_t end;

	for (size_t i = 0; i < ARRAY_SIZE(scanners); i++)
		scanner_make(&scanners[i], r);
	scanners[1].prober.slots.avoid_map = true;
	scanners[2].prober.slots.avoid_swap_info = true;
	read_events(counts);
	end = time(NULL) + seconds;
	do {
		uint64_t *sums;

		alarm(ROUND_SECONDS_MAX);
		object_repair(r);
		object_look(r, &r->before);
		run_round(r, scanners, ARRAY_SIZE(scanners), round_ms);
		object_look(r, &r->after);
		keep_held(r, held);
		sums = sum_up(r);
		for (size_t i = 0; i < ARRAY_SIZE(scanners); i++)
			judge(&scanners[i], sums);
		free(sums);
		rounds++;
	} while (time(NULL) < end);
	for (size_t i = 0; i < ARRAY_SIZE(scanners); i++) {
		add_up(&scanners[i], &t);
		scanner_done(&scanners[i]);
	}
	print_events(counts);
	if (!enough(held, rounds)) {
		puts("too few pages in some state held still");
		t.wrong++;
	}
	printf("== race: %llu classifications, %llu wrong, %llu unknown, %llu scans, longest chunk "
	       "%.0f us (%llu rounds, %llu moves)\n",
	       (unsigned long long)t.classifications, (unsigned long long)t.wrong,
	       (unsigned long long)t.unknown, (unsigned long long)t.scans,
	       (double)t.longest_chunk_ns / 1e3, (unsigned long long)rounds,
	       (unsigned long long)atomic_load(&r->moves));
	return t.wrong == 0 && t.unknown <= t.classifications / 1000000 ? 0 : 1;
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n == 0 || n > 10000000)
		die("%s is no number that will do", text);
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
						{"pages", required_argument, NULL, 'p'},
						{"round", required_argument, NULL, 'r'},
						{"group", required_argument, NULL, 'g'},
						{0}};
	unsigned seconds = 20, pages = 65536, round_ms = 1000;
	struct race r = {.seed = 5};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (c == 's')
			seconds = number(optarg);
		else if (c == 'p')
			pages = number(optarg);
		else if (c == 'r')
			round_ms = number(optarg);
		else if (c == 'g')
			r.group = optarg;
		else
			return 2;
	if (kcaps_probe(&r.caps) < 0)
		die("not even a memfd can be made");
	if (!kcaps_has(&r.caps, KCAP_MINCORE)) {
		fputs("no mincore to compare with\n", stderr);
		return 77;
	}
	if (!kcaps_has(&r.caps, KCAP_CACHESTAT))
		puts("     without cachestat: present and swap_cache are not told apart");
	setvbuf(stdout, NULL, _IOLBF, 0);
	r.page_size = r.caps.page_size;
	r.pages = MAX(pages / REGION, (uint64_t)REGION_KINDS) * REGION;
	planes_make(&r.before, r.pages);
	planes_make(&r.after, r.pages);
	alarm(ROUND_SECONDS_MAX);
	object_make(&r);
	c = run(&r, seconds, round_ms);
	free(r.role);
	planes_done(&r.before);
	planes_done(&r.after);
	return c;
}
