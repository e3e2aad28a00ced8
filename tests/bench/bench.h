/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* make bench: what an answer costs, against peers, on the same object in the same run. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/parse.h"

/* ---- layouts.c, mix.c: objects in a known layout ----------------------------------------------
 */

/* Held by this process, and mapped by it as a program would have it that works with it. */
struct bench_object {
	int fd;
	char *address; /* NULL: not mapped */
	uint64_t pages;
	uint64_t page_size;
	uint64_t in_core; /* pages that are to be so, by the layout */
};

struct bench_layout {
	const char *name;
	const char *help;
	/* The layout that this one is made out of. NULL: an empty object. */
	const char *from;
	int (*make)(struct bench_object *o);
	uint64_t bytes; /* 0: each size that was asked for */
	bool needs_swap;
	bool minor; /* at the smallest size only, unless asked for by name */
};

extern const struct bench_layout bench_layouts[];
extern const size_t n_bench_layouts;

const struct bench_layout *bench_layout_find(const char *name);

/* An object without pages. The caller calls bench_object_done, whatever this returns. */
int bench_object_make(struct bench_object *o, uint64_t bytes);
void bench_object_done(struct bench_object *o);

/* Writes pages, in the mapping; and pages them out. */
void bench_fill(struct bench_object *o, uint64_t first, uint64_t count);
int bench_page_out(struct bench_object *o, uint64_t first, uint64_t count);

/* Gives the mapping page table entries for what is in core, and brings nothing in. */
int bench_map_in_core(struct bench_object *o);
/* How many pages mincore finds in core. */
int bench_count_in_core(const struct bench_object *o, uint64_t *ret);

/* Runs of random length: hole, present, swapped; of small and of large folios, whole and cut. */
int bench_make_mix(struct bench_object *o);

/* ---- peers.c, exact.c: ways to ask ------------------------------------------------------------
 */

/*
 * run() asks for a part of the object. It returns 0 or a negative errno; -ENOENT: there is no such
 * program here, -ENOSYS: no such kernel interface.
 */
struct bench_peer {
	const char *name;
	int (*run)(const struct bench_object *o, const struct page_range *part);
	uint64_t sample; /* ask for so many pages at most, and scale. 0: for all, it cannot but */
};

/*
 * These are the product: the exact probe in this process, as a command, and the portable probe; and
 * the exact probe behind the service, asked for all states by descriptor.
 */
enum { PEER_EXACT, PEER_DUMP, PEER_PORTABLE, PEER_SERVICE, PEERS_MAX = 9 };

extern const struct bench_peer bench_peers[];
extern const size_t n_bench_peers;

/*
 * Output goes to /dev/null; complaints too if an exit status beside 0 is fine. Returns 0, -EIO
 * (another exit status), or another negative errno.
 */
int bench_run_command(char *const argv[], int fine);
const char *bench_shmstatectl(void);

int bench_run_exact(const struct bench_object *o, const struct page_range *part);
/* ---- service.c: -ENOENT without a service, whose socket is $SHMSTATE_BENCH_SOCKET. */
int bench_run_service(const struct bench_object *o, const struct page_range *part);

/* For how long a chunk of the walk holds preemption off. */
struct bench_walk {
	uint64_t chunks; /* that one walk of the object takes; 0: not known */
	double median_us;
	double p99_us; /* 99 of 100 are not longer: the longest may be the hypervisor's doing */
	double max_us;
};

/* Walks the object so often, apart from any probe. */
void bench_walk(const struct bench_object *o, unsigned rounds, struct bench_walk *ret);
/* The longest of all chunks so far, those of probes too. 0: not known. */
double bench_walk_longest_us(void);

/* ---- memory.c ---------------------------------------------------------------------------------
 */

/* By how much the peak of a process's resident memory grows while it asks. */
int bench_peak_growth(const struct bench_object *o, const struct bench_peer *peer,
		      uint64_t *ret_kib);
int bench_available_memory(uint64_t *ret_bytes);

/* ---- measure.c --------------------------------------------------------------------------------
 */

#define BENCH_ROUNDS_MAX 64

struct bench_result {
	double ms;      /* median, for the whole object */
	double cold_ms; /* likewise of first runs, after the others'; 0: it takes too long to run
			   twice */
	unsigned rounds;
	bool sampled;
	int error;
};

double bench_now_ms(void);
double bench_median(double *values, unsigned n);
void bench_measure(const struct bench_object *o, unsigned rounds, struct bench_result *ret);

/* ---- list.c -----------------------------------------------------------------------------------
 */

#define BENCH_LISTERS 4

struct bench_list {
	unsigned objects;
	const char *names[BENCH_LISTERS];
	struct bench_result results[BENCH_LISTERS];
	int error; /* no holders could be made */
};

/* Lists so many objects that as many processes hold. Before anything else is open here. */
void bench_list(unsigned objects, unsigned rounds, struct bench_list *ret);

/* ---- report.c ---------------------------------------------------------------------------------
 */

/* One layout at one size. */
struct bench_row {
	const struct bench_layout *layout;
	uint64_t bytes;
	uint64_t pages;
	char left_out[96];              /* why; empty: it was measured */
	uint64_t wanted, before, after; /* pages in core: by the layout, and as found */
	struct bench_result results[PEERS_MAX];
	struct bench_walk walk;
	uint64_t growth_kib;
	int growth_error;
	double build_ms, measure_ms;
};

struct bench_report {
	struct bench_row *rows;
	size_t n_rows, allocated;
	struct bench_list list;
	unsigned rounds;
	const char *swap; /* kind; empty: none */
};

/* The pages that are elsewhere than they were, or than they should be, are more than 1 percent. */
bool bench_row_drifted(const struct bench_row *row);

void bench_report_text(const struct bench_report *report, FILE *f);
void bench_report_json(const struct bench_report *report, FILE *f);
