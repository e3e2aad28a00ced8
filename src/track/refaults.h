/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which pages of an object came back from the swap, how often, and when last. Memory is taken only
 * for what did come back: 24 bytes for those of 64 pages that came back together. No system calls.
 *
 * What is told is never too early and never too often: between two looks a page is known to have
 * come back at the second at the latest, and once at least.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/parse.h"

/* Times: CLOCK_MONOTONIC in tenths of a second, rounded up: enough for 13 years. */
uint32_t refault_time(uint64_t ns);
/* The last that is no later. */
uint32_t refault_time_before(uint64_t ns);
/* Back to CLOCK_MONOTONIC, ns. */
uint64_t refault_time_ns(uint32_t time);

/* Pages of an aligned block of 64 that came back as often, and last at the same time. */
struct refault_mark {
	uint64_t block; /* page / 64 */
	uint64_t pages; /* bit p: page block * 64 + p */
	uint32_t last;
	uint32_t times; /* at least, as all numbers of times here; 0: it is only not excluded */
};

/* Owns marks, in order of blocks. All zero: nothing has come back, and nothing is known. */
struct refaults {
	struct refault_mark *marks;
	size_t n_marks, n_allocated;
	uint32_t forgotten; /* what came back until then may have been forgotten; 0: nothing */
};

void refaults_done(struct refaults *r);
size_t refaults_bytes(const struct refaults *r);

/* ret: empty. Returns 0 or -ENOMEM. */
int refaults_copy(const struct refaults *r, struct refaults *ret);

/* Instead of a time: nothing is to be counted, for they may not have come back. */
#define REFAULTS_SUSPECTED UINT32_MAX

/*
 * The pages of the ranges, which are in order and have no page twice, have come back by then. Those
 * that are known to have come back since `counted` are not counted again (0: all are counted).
 * Takes time for all marks there are. Returns 0, or -ENOMEM with nothing changed.
 */
int refaults_note(struct refaults *r, const struct page_range *ranges, size_t n, uint32_t at,
		  uint32_t counted);

/* Forgets those that came back the longest ago, until no more are left than fit into so many bytes.
 */
void refaults_shrink(struct refaults *r, size_t bytes);

/* Pages that follow each other, came back as often, and last at the same time. */
struct refault_extent {
	uint64_t first;
	uint64_t count;
	uint32_t last;
	uint32_t times;
};

/*
 * The first of those that came back after that time (0: ever) at or behind a page, from that page
 * on. Returns false if there is none.
 */
bool refaults_next(const struct refaults *r, uint64_t page, uint32_t after,
		   struct refault_extent *ret);

/* Pages that came back after that time. */
uint64_t refaults_pages(const struct refaults *r, uint32_t after);
