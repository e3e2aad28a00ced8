/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * race: pages of one object are moved in every way while it is scanned; among them are pages that
 * hold still, and those must always be told right.
 *   race.c         rounds and their judgement
 *   race-object.c  the object: who may touch which page, and what the pages that hold still are
 *   race-movers.c  the threads that move
 *   race-scan.c    the threads that scan
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/state.h"
#include "probe/probe.h"

#define REGION ((uint64_t)512) /* pages: the largest folio */

/* Regions take turns. */
enum region_kind {
	REGION_EVEN,     /* every second page moves; small folios */
	REGION_RUNS,     /* runs of random lengths; small folios */
	REGION_COLLAPSE, /* made one large folio, and split again */
	REGION_SWAPPED,  /* swapped out as one large folio, and split there */
	REGION_KINDS,
};

/* What is meant for a page. */
enum role {
	ROLE_MOVE,
	ROLE_HOLE,
	ROLE_ALLOCATED,
	ROLE_PRESENT,
	ROLE_SWAPPED,
	ROLE_SWAP_CACHE, /* on a swap without one: swapped */
};

/* Bits of pages, 64 a word. */
struct planes {
	uint64_t *state[3]; /* bit b of the state */
	uint64_t *held;     /* pages that count */
};

struct race {
	struct kcaps caps;
	uint64_t pages; /* that are scanned for states; the tail behind them comes and goes */
	uint64_t page_size;
	int fd;
	unsigned char *role;  /* enum role of each page */
	char *map;            /* read and write; the only mapping with page table entries */
	struct planes before; /* as the round began */
	struct planes after;  /* and ended */
	const char *group;    /* a memory cgroup, that can be reclaimed; or NULL */
	atomic_bool stop;     /* the round is over */
	atomic_uint_fast64_t moves;
	uint64_t seed;
};

static inline enum region_kind region_kind(uint64_t page)
{
	return (enum region_kind)(page / REGION % REGION_KINDS);
}

/* No page from here on is made by fallocate: where there may be such the walk is slower. */
static inline uint64_t race_allocated_end(const struct race *r)
{
	return r->pages / 4;
}

static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- race-object.c ---- */

void object_make(struct race *r);
/* Between rounds: what was moved in, or out by others, is made as it should be. */
void object_repair(struct race *r);
/*
 * What the system calls say: mincore and cachestat, page by page, which nothing here reads
 * otherwise. Held are those whose role agrees.
 */
void object_look(struct race *r, struct planes *ret);
/* The same of one page, this moment. */
enum page_state object_look_at(struct race *r, uint64_t page);

/* ---- race-movers.c ---- */

#define N_MOVERS 4

void *mover(void *context); /* struct mover */

struct mover {
	struct race *race;
	unsigned number;
	uint64_t random;
};

/* ---- race-scan.c ---- */

/*
 * A page that was not as before the round. Counts only if it held still: it was so at the end, and
 * it was so right after the scan. (DAMON pages out what is idle, and a collapse brings it back.)
 */
struct suspect {
	uint64_t page;
	enum page_state expected;
	enum page_state got;
	enum page_state around[17]; /* from page - 8 on */
};

#define RANGES_MAX 200000

struct scanner {
	struct race *race;
	const char *name;
	struct prober prober;
	bool whole; /* else random ranges */
	uint64_t range_max;
	unsigned pause_us; /* after each scan */
	uint64_t random;
	struct state_block *blocks; /* the latest answer */

	struct suspect *suspects; /* of this round: once a page, and once more if unknown */
	size_t n_suspects;
	uint64_t *noted[2];        /* pages that are among them; those that were unknown */
	struct page_range *ranges; /* likewise, that were scanned */
	size_t n_ranges;

	uint64_t scans; /* of all rounds */
	uint64_t unstable;
	uint64_t longest_ns;
	uint64_t total_ns;
	uint64_t classifications;
	uint64_t wrong;
	uint64_t unknown;
	uint64_t moved; /* no suspects, for the system calls said right after that they had moved */
};

void scanner_make(struct scanner *s, struct race *r);
void scanner_done(struct scanner *s);
void *scanner_run(void *context); /* struct scanner: scans until the round is over */
