/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "util/array.h"
#include "util/util.h"

#define SIZES_MAX 8
#define LIST_OBJECTS 1000
#define LIST_NAME "list" /* among the layouts that were asked for */

struct plan {
	uint64_t mib[SIZES_MAX];
	size_t n_sizes;
	const char *layouts; /* names; empty: all */
	unsigned rounds;
	bool swap;
};

/* The next of words apart by blanks or commas; *at moves on. Returns its length. */
static size_t next_word(const char **at, const char **ret)
{
	*at += strspn(*at, ", ");
	*ret = *at;
	*at += strcspn(*at, ", ");
	return (size_t)(*at - *ret);
}

static bool asked_for(const struct plan *plan, const char *name)
{
	const char *at = plan->layouts, *word;
	size_t length;

	while ((length = next_word(&at, &word)) > 0)
		if (length == strlen(name) && strncmp(word, name, length) == 0)
			return true;
	return false;
}

static bool wanted(const struct plan *plan, const struct bench_layout *l, size_t size)
{
	if (l->bytes && size > 0)
		return false;
	if (plan->layouts[0])
		return asked_for(plan, l->name);
	return !l->minor || size == 0;
}

/* An object stays from one layout to the next if the next is made out of it. */
static int build(struct bench_object *o, const struct bench_layout **ret_built,
		 const struct bench_layout *l, uint64_t bytes)
{
	const struct bench_layout *from = l->from ? bench_layout_find(l->from) : NULL;
	int r = 0;

	if (!from) {
		bench_object_done(o);
		r = bench_object_make(o, bytes);
	} else if (*ret_built != from) {
		r = build(o, ret_built, from, bytes);
	}
	if (r == 0)
		r = l->make(o);
	*ret_built = r == 0 ? l : NULL;
	return r;
}

/* Whether the memory suffices to have all of the object present, as each is in the beginning. */
static bool has_room(struct bench_row *row, const struct bench_object *o)
{
	uint64_t needed = row->bytes + row->bytes / 16 + ((uint64_t)1 << 30), available = 0;
	uint64_t held = row->layout->bytes ? 0 : o->pages * o->page_size;

	if (row->layout->bytes)
		needed = (uint64_t)1 << 30;
	bench_available_memory(&available);
	/* the object from before goes first, or is gone on with */
	if (available + held >= needed)
		return true;
	snprintf(row->left_out, sizeof(row->left_out), "it takes %llu MiB of memory, %llu are free",
		 (unsigned long long)(needed >> 20),
		 (unsigned long long)((available + held) >> 20));
	return false;
}

static int measure(struct bench_row *row, struct bench_object *o, unsigned rounds)
{
	double start = bench_now_ms();
	int r = bench_map_in_core(o);

	row->pages = o->pages;
	row->wanted = o->in_core;
	if (r == 0)
		r = bench_count_in_core(o, &row->before);
	if (r < 0)
		return r;
	bench_measure(o, rounds, row->results);
	bench_walk(o, rounds, &row->walk);
	row->growth_error = bench_peak_growth(
		o, &bench_peers[row->results[PEER_EXACT].error ? PEER_PORTABLE : PEER_EXACT],
		&row->growth_kib);
	r = bench_count_in_core(o, &row->after);
	row->measure_ms = bench_now_ms() - start;
	return r;
}

static int run_row(struct bench_row *row, struct bench_object *o, const struct bench_layout **built,
		   const struct plan *plan)
{
	double start = bench_now_ms();
	int r;

	row->pages = row->bytes / (uint64_t)sysconf(_SC_PAGESIZE);
	if (row->layout->needs_swap && !plan->swap) {
		snprintf(row->left_out, sizeof(row->left_out), "there is no swap");
		return 0;
	}
	if (!has_room(row, o))
		return 0;
	r = build(o, built, row->layout, row->bytes);
	row->build_ms = bench_now_ms() - start;
	if (r == 0)
		r = measure(row, o, plan->rounds);
	fprintf(stderr, "shmbench: %llu MiB %s: built in %.1f s, measured in %.1f s\n",
		(unsigned long long)(row->bytes >> 20), row->layout->name, row->build_ms / 1e3,
		row->measure_ms / 1e3);
	return r;
}

static int run_size(struct bench_report *report, const struct plan *plan, size_t size, bool own)
{
	struct bench_object o = {.fd = -1};
	const struct bench_layout *built = NULL;
	int r = 0;

	for (size_t i = 0; i < n_bench_layouts && r == 0; i++) {
		const struct bench_layout *l = &bench_layouts[i];
		struct bench_row *row;

		if (!wanted(plan, l, size) || (l->bytes != 0) != own)
			continue;
		r = ARRAY_RESERVE(&report->rows, &report->allocated, report->n_rows);
		if (r < 0)
			break;
		row = &report->rows[report->n_rows++];
		*row = (struct bench_row){.layout = l,
					  .bytes = own ? l->bytes : plan->mib[size] << 20};
		r = run_row(row, &o, &built, plan);
	}
	bench_object_done(&o);
	return r;
}

static int run(struct bench_report *report, const struct plan *plan)
{
	int r = 0;

	if (!plan->layouts[0] || asked_for(plan, LIST_NAME))
		bench_list(LIST_OBJECTS, plan->rounds, &report->list);
	for (size_t i = 0; i < plan->n_sizes && r == 0; i++)
		r = run_size(report, plan, i, false);
	/* those with a size of their own */
	return r < 0 ? r : run_size(report, plan, 0, true);
}

static int parse_plan(char *argv[], struct plan *plan)
{
	const char *at = argv[1], *word;
	uint64_t rounds;
	size_t length;

	while ((length = next_word(&at, &word)) > 0) {
		char number[24];

		snprintf(number, sizeof(number), "%.*s", (int)length, word);
		if (plan->n_sizes == SIZES_MAX || length >= sizeof(number) ||
		    parse_u64(number, 10, &plan->mib[plan->n_sizes]) < 0 ||
		    plan->mib[plan->n_sizes++] == 0)
			return -EINVAL;
	}
	if (plan->n_sizes == 0 || parse_u64(argv[2], 10, &rounds) < 0 || rounds == 0 ||
	    rounds > BENCH_ROUNDS_MAX)
		return -EINVAL;
	plan->rounds = (unsigned)rounds;
	plan->layouts = argv[3];
	plan->swap = argv[4][0] != '\0';
	at = plan->layouts;
	while ((length = next_word(&at, &word)) > 0) {
		char name[24];

		snprintf(name, sizeof(name), "%.*s", (int)length, word);
		if (!bench_layout_find(name) && strcmp(name, LIST_NAME) != 0)
			return -ENOENT;
	}
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "Usage: shmbench SIZES-MiB ROUNDS LAYOUTS SWAP-KIND TABLE-FILE JSON-FILE\n"
			"An empty LAYOUTS stands for all, an empty SWAP-KIND for no swap.\n"
			"Layouts:\n  list         processes, objects: how long listing takes\n");
	for (size_t i = 0; i < n_bench_layouts; i++)
		fprintf(stderr, "  %-12s %s\n", bench_layouts[i].name, bench_layouts[i].help);
	return 2;
}

int main(int argc, char *argv[])
{
	struct bench_report report = {0};
	struct plan plan = {0};
	FILE *text, *json;
	int r;

	if (argc != 7 || parse_plan(argv, &plan) < 0)
		return usage();
	report.rounds = plan.rounds;
	report.swap = plan.swap ? argv[4] : "none";
	r = run(&report, &plan);
	if (r < 0) {
		fprintf(stderr, "shmbench: %s\n", strerror(-r));
		return 1;
	}
	text = fopen(argv[5], "we");
	json = fopen(argv[6], "we");
	if (!text || !json) {
		fprintf(stderr, "shmbench: cannot write %s: %s\n", text ? argv[6] : argv[5],
			strerror(errno));
		return 1;
	}
	bench_report_text(&report, text);
	bench_report_json(&report, json);
	free(report.rows);
	return fclose(text) != 0 || fclose(json) != 0;
}
