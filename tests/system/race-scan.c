/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/state_block.h"
#include "race.h"
#include "util/util.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void scanner_make(struct scanner *s, struct race *r)
{
	int error = prober_open(&s->prober, &r->caps, PROBE_WALK);

	if (error < 0) {
		fprintf(stderr, "no walk here: %s\n", strerror(-error));
		exit(77);
	}
	s->race = r;
	s->blocks = calloc(r->pages / 64 + 2, sizeof(*s->blocks));
	s->suspects = calloc(2 * r->pages, sizeof(*s->suspects));
	s->noted[0] = calloc(r->pages / 64, sizeof(uint64_t));
	s->noted[1] = calloc(r->pages / 64, sizeof(uint64_t));
	s->ranges = calloc(RANGES_MAX, sizeof(*s->ranges));
	if (!s->blocks || !s->suspects || !s->ranges || !s->noted[0] || !s->noted[1])
		die("no memory");
}

void scanner_done(struct scanner *s)
{
	prober_done(&s->prober);
	free(s->blocks);
	free(s->suspects);
	free(s->noted[0]);
	free(s->noted[1]);
	free(s->ranges);
}

/* The map's blocks, one for each 64 pages, from that of the first page on. */
static void spread_map(const struct state_map *map, struct state_block *blocks, uint64_t max)
{
	uint64_t n = 0;

	for (size_t i = 0; i < map->n_segments; i++) {
		const struct state_segment *segment = &map->segments[i];

		for (uint64_t k = 0; k < segment->count && n < max; k++, n++) {
			if (!segment_is_uniform(segment)) {
				blocks[n] = map->dense[segment->dense + k];
				continue;
			}
			blocks[n] = (struct state_block){0};
			block_fill(&blocks[n], UINT64_MAX, segment->state);
		}
	}
	if (n < max)
		blocks[n] = map->pending;
}

/*
 * What DAMON or reclaim has paged out a collapse brings back at once, 512 pages together, before
 * the system calls can be asked. A word that is a swap entry is no other state misread.
 */
static bool has_come_back(uint64_t page, enum page_state expected, enum page_state got)
{
	return region_kind(page) == REGION_COLLAPSE && expected == PAGE_PRESENT &&
	       (got == PAGE_SWAPPED || got == PAGE_SWAP_CACHE);
}

/* Without cachestat a page in core may be either: object_look() has only guessed. */
static bool cannot_be_told(const struct race *r, enum page_state expected, enum page_state got)
{
	return !kcaps_has(&r->caps, KCAP_CACHESTAT) &&
	       (expected == PAGE_PRESENT || expected == PAGE_SWAP_CACHE) &&
	       (got == PAGE_PRESENT || got == PAGE_SWAP_CACHE);
}

static void note_suspect(struct scanner *s, const struct snapshot *answer, uint64_t page)
{
	const struct planes *before = &s->race->before;
	enum page_state got = state_map_get(&answer->map, page);
	uint64_t *noted = &s->noted[got == PAGE_UNKNOWN][page / 64];
	struct suspect *suspect = &s->suspects[s->n_suspects];
	unsigned expected = 0;

	if (*noted >> page % 64 & 1)
		return;
	for (int b = 0; b < 3; b++)
		expected |= (unsigned)(before->state[b][page / 64] >> page % 64 & 1) << b;
	if (has_come_back(page, (enum page_state)expected, got) ||
	    cannot_be_told(s->race, (enum page_state)expected, got) ||
	    object_look_at(s->race, page) != (enum page_state)expected) {
		s->moved++;
		return;
	}
	*noted |= UINT64_C(1) << page % 64;
	s->n_suspects++;
	*suspect = (struct suspect){
		.page = page,
		.expected = (enum page_state)expected,
		.got = got,
	};
	for (uint64_t i = 0; i < ARRAY_SIZE(suspect->around); i++) {
		uint64_t at = page + i - 8;

		suspect->around[i] = at - answer->first < answer->count
					     ? state_map_get(&answer->map, at)
					     : PAGE_STATE_MAX;
	}
}

static void compare(struct scanner *s, const struct snapshot *answer)
{
	const struct planes *before = &s->race->before;
	uint64_t first = answer->first, end = MIN(first + answer->count, s->race->pages);
	uint64_t base = first / 64;

	spread_map(&answer->map, s->blocks, s->race->pages / 64 + 1 - base);
	for (uint64_t word = base; word * 64 < end; word++) {
		uint64_t from = word == base ? first % 64 : 0, to = MIN(end - word * 64, 64);
		uint64_t differs = 0;

		for (int b = 0; b < 3; b++)
			differs |= before->state[b][word] ^ s->blocks[word - base].plane[b];
		differs &= before->held[word] & bit_range(from, to);
		for (; differs; differs &= differs - 1)
			note_suspect(s, answer, word * 64 + (uint64_t)__builtin_ctzll(differs));
	}
}

static void scan(struct scanner *s)
{
	struct probe_request request = {.fd = s->race->fd, .caps = &s->race->caps};
	struct snapshot answer = {0};
	uint64_t start = now_ns(), took;
	int r;

	request.range = PROBE_ALL;
	if (!s->whole) {
		request.range.first = next_random(&s->random) % s->race->pages;
		request.range.count = 1 + next_random(&s->random) % s->range_max;
		request.range.count =
			MIN(request.range.count, s->race->pages - request.range.first);
	}
	r = probe_walk(&s->prober, &request, &answer);
	took = now_ns() - start;
	if (r < 0)
		die("%s: a scan failed: %s", s->name, strerror(-r));
	/* Whatever moves, no page was ever lost. */
	if (answer.counts[PAGE_POISONED] > 0)
		die("%s: a page is said to be poisoned", s->name);
	s->scans++;
	s->unstable += !answer.stable;
	s->total_ns += took;
	s->longest_ns = MAX(s->longest_ns, took);
	s->ranges[s->n_ranges++] = (struct page_range){
		.first = answer.first,
		.count = MIN(answer.count, s->race->pages - answer.first),
	};
	compare(s, &answer);
	snapshot_done(&answer);
}

void *scanner_run(void *context)
{
	struct scanner *s = context;

	s->n_suspects = s->n_ranges = 0;
	for (int i = 0; i < 2; i++)
		memset(s->noted[i], 0, s->race->pages / 64 * sizeof(uint64_t));
	while (!atomic_load(&s->race->stop) && s->n_ranges < RANGES_MAX) {
		scan(s);
		if (s->pause_us)
			usleep(s->pause_us);
	}
	return NULL;
}
