/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cmocka with all that it wants included before it, and what several tests share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/util.h"

/*
 * Runs f(context) with stdout and stderr sent to files, and gives back what it printed: strings
 * that the caller frees (NUL bytes stay, *ret_out_size counts them; the pointers may be NULL). No
 * assertion may be made in f: cmocka's message would land in the file. Returns what f returned.
 */
int capture(int (*f)(void *context), void *context, char **ret_out, size_t *ret_out_size,
	    char **ret_err);

/* How many lines s has; a line without its newline makes it SIZE_MAX. */
size_t count_lines(const char *s);

/* How often to try something, where that is a matter of taste: less on slow machines. */
static inline int rounds(int n)
{
	return getenv("SHMSTATE_TEST_BRIEF") ? n / 10 : n;
}

/* Pseudo random numbers, the same in every run. */
struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	/* splitmix64 */
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to n - 1 */
static inline uint64_t random_below(struct random *r, uint64_t n)
{
	return random_next(r) % n;
}
