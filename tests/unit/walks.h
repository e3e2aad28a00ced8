/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the walk share. */

#include "objects.h"

extern struct prober prober;

int walk(int fd, struct page_range range, struct snapshot *ret);

bool is_as_made(int fd, const struct state_map *expected, const struct state_map *got);

/* The first pages that differ. */
void print_difference(const struct state_map *expected, const struct state_map *got);

/* The range, by the walk, is as expected (the whole object's map), but for what others have swapped
 * out. */
void check_range(int fd, struct page_range range, const struct state_map *expected);

/*
 * Runs the tests with a prober, or says why there is none. Returns an exit status. With lock
 * LOCK_SH nobody changes meanwhile which folios the system makes; with LOCK_EX the tests may do
 * that.
 */
int walks_main(const struct CMUnitTest *tests, size_t n, int lock);
