/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an object is known by from one look to the next. An inode number is used again: with the
 * generation (32 random bits) and the time of birth a new object is never taken for an old one.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct identity {
	dev_t dev;
	ino_t ino;
	bool certain; /* at least one of these two is known; else nothing is to be remembered */
	uint32_t generation;
	uint64_t birth; /* CLOCK_REALTIME, ns; 0: not known */
};

/* Returns 0 or a negative errno. */
int identity_of_fd(int fd, struct identity *ret);

/* Less than, equal to or greater than 0, as tsearch() wants it. */
int identity_compare(const void *a, const void *b);
