/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "util/util.h"

#define SAMPLES 64     /* a sample is of so many places, evenly spread */
#define SLOW_MS 5000.0 /* what takes longer is asked once only */
#define QUICK_MS 250.0 /* what takes longer does not depend on what is in the caches */

double bench_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Asks for the whole object, or a sample of it. */
static double ask(const struct bench_peer *peer, const struct bench_object *o,
		  struct bench_result *result)
{
	struct page_range part = {.count = o->pages};
	uint64_t parts = 1;
	double start = bench_now_ms();

	result->sampled = peer->sample && peer->sample < o->pages;
	if (result->sampled) {
		parts = SAMPLES;
		part.count = peer->sample / SAMPLES;
	}
	for (uint64_t i = 0; i < parts && result->error == 0; i++) {
		part.first = i * (o->pages / parts);
		result->error = peer->run(o, &part);
	}
	return (bench_now_ms() - start) * (double)o->pages / (double)(parts * part.count);
}

/*
 * Peers take turns, so that what else runs on the machine hits all alike. In its turn one that is
 * quick runs twice, as something does that asks again and again: the first run finds in the caches
 * what the others have left there.
 */
void bench_measure(const struct bench_object *o, unsigned rounds, struct bench_result *ret)
{
	double times[PEERS_MAX][BENCH_ROUNDS_MAX], cold[PEERS_MAX][BENCH_ROUNDS_MAX];
	unsigned n_cold[PEERS_MAX] = {0};

	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < n_bench_peers; i++) {
			struct bench_result *result = &ret[i];

			if (result->error ||
			    (round == 1 && times[i][0] > SLOW_MS && !result->sampled))
				continue;
			if (result->rounds < round)
				continue;
			times[i][round] = ask(&bench_peers[i], o, result);
			if (result->error == 0 && times[i][round] < QUICK_MS) {
				cold[i][n_cold[i]++] = times[i][round];
				times[i][round] = ask(&bench_peers[i], o, result);
			}
			result->rounds++;
		}
	}
	for (size_t i = 0; i < n_bench_peers; i++)
		if (ret[i].error == 0)
			ret[i].ms = bench_median(times[i], ret[i].rounds);
	for (size_t i = 0; i < n_bench_peers; i++)
		if (ret[i].error == 0 && n_cold[i] > 0)
			ret[i].cold_ms = bench_median(cold[i], n_cold[i]);
}
