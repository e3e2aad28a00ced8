/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two ways of discovery, side by side. */

#include "objects.h"

#include <sys/types.h>

#include "discover/iterate.h"

/* Loaded by ways_setup(), or NULL where they cannot be. */
extern struct iterators *iterators;

int ways_setup(void **state);
int ways_teardown(void **state);
void need_iterators(void); /* skips the test */

int look(enum discover_way way, struct discovery *ret);

/*
 * Only what these processes hold and map is described; NULL: all that /proc lets us see. (There may
 * be processes with more privilege than root has in here.)
 */
struct selection {
	const pid_t *pids;
	size_t n; /* 0: what no process holds or maps */
};

/* A line an object, in the order of discovery. The caller frees it. */
char *look_and_describe(enum discover_way way, const struct selection *s);
/* Fails the test if the two ways differ, or do not contain that text. */
void compare_ways(const struct selection *s, const char *contains);
void compare_own(const char *contains); /* of this process */

char *map_pages(int fd, size_t size, int flags, off_t offset);
/* A new file, and a descriptor of it. */
int make_file_at(int dirfd, const char *name);
