/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "util/parse.h"
#include "util/util.h"

#define ROUNDS_MAX 64

struct result {
	double median; /* ns a page */
	int error;
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Peers take turns, so that what else runs on the machine hits all alike. */
static void measure(const struct bench_object *o, unsigned rounds, struct result *results)
{
	double times[8][ROUNDS_MAX];

	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < n_bench_peers; i++) {
			double start = now_ns();

			if (results[i].error == 0)
				results[i].error = bench_peers[i].run(o);
			times[i][round] = (now_ns() - start) / (double)o->pages;
		}
	}
	for (size_t i = 0; i < n_bench_peers; i++) {
		qsort(times[i], rounds, sizeof(double), compare);
		results[i].median = times[i][rounds / 2];
	}
}

static void print_result(FILE *text, FILE *json, const struct bench_layout *l,
			 const struct bench_object *o, const struct result *results)
{
	fprintf(text, "%-17s", l->name);
	fprintf(json, "  {\"layout\":\"%s\",\"pages\":%llu,\"nsPerPage\":{", l->name,
		(unsigned long long)o->pages);
	for (size_t i = 0; i < n_bench_peers; i++) {
		const char *comma = i ? "," : "";

		if (results[i].error) {
			fprintf(text, " %16s",
				results[i].error == -ENOENT ? "not there" : "failed");
			fprintf(json, "%s\"%s\":null", comma, bench_peers[i].name);
			continue;
		}
		fprintf(text, " %9.2f %5.2fx", results[i].median,
			results[i].median / results[0].median);
		fprintf(json, "%s\"%s\":%.3f", comma, bench_peers[i].name, results[i].median);
	}
	fprintf(text, "\n");
	fprintf(json, "}}");
	fflush(text);
}

static void print_head(FILE *text, uint64_t bytes, unsigned rounds)
{
	fprintf(text,
		"ns a page, and the ratio to a plain mincore loop; median of %u rounds, objects of "
		"%llu MiB unless named otherwise\n%-17s",
		rounds, (unsigned long long)(bytes >> 20), "layout");
	for (size_t i = 0; i < n_bench_peers; i++)
		fprintf(text, " %16s", bench_peers[i].name);
	fprintf(text, "\n");
}

static int run_layout(const struct bench_layout *l, uint64_t bytes, unsigned rounds, FILE *text,
		      FILE *json)
{
	struct bench_object o = {.fd = -1};
	struct result results[8] = {{0}};
	int r = l->make(&o, l->bytes ? l->bytes : bytes);

	if (r == 0) {
		measure(&o, rounds, results);
		print_result(text, json, l, &o, results);
	}
	bench_object_done(&o);
	return r;
}

int main(int argc, char *argv[])
{
	uint64_t mib = 2048, rounds = 9;
	FILE *text = NULL, *json = NULL;
	bool swap = true, any = false;
	int r = 0;

	if (argc != 6 || parse_u64(argv[1], 10, &mib) < 0 || parse_u64(argv[2], 10, &rounds) < 0 ||
	    rounds == 0 || rounds > ROUNDS_MAX) {
		fprintf(stderr,
			"Usage: shmbench MEBIBYTES ROUNDS swap|noswap TABLE-FILE JSON-FILE\n");
		return 2;
	}
	swap = strcmp(argv[3], "swap") == 0;
	text = fopen(argv[4], "we");
	json = fopen(argv[5], "we");
	if (!text || !json) {
		fprintf(stderr, "shmbench: cannot write %s: %s\n", text ? argv[5] : argv[4],
			strerror(errno));
		return 1;
	}
	print_head(text, mib << 20, (unsigned)rounds);
	fprintf(json, "[\n");
	for (size_t i = 0; i < n_bench_layouts && r == 0; i++) {
		if (bench_layouts[i].needs_swap && !swap)
			continue;
		fprintf(json, "%s", any ? ",\n" : "");
		any = true;
		r = run_layout(&bench_layouts[i], mib << 20, (unsigned)rounds, text, json);
	}
	fprintf(json, "\n]\n");
	fclose(text);
	fclose(json);
	if (r < 0)
		fprintf(stderr, "shmbench: %s\n", strerror(-r));
	return r < 0;
}
