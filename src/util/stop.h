/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Giving up a look at an object that nobody waits for any more, or that takes too long. What is to
 * be given up is a matter of the thread: loops deep inside of a probe ask, and whoever began it
 * says.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
	atomic_bool cancelled; /* by whoever began it, from any thread */
	unsigned limit;        /* seconds that it may take; 0: as long as it will */
	uint64_t deadline;     /* CLOCK_MONOTONIC, ns; 0: stop_watch() sets it, from limit */
};

uint64_t monotonic_ns(void);

/* From now on this thread asks here, and the time runs; NULL: it is not to be stopped. Borrowed. */
void stop_watch(struct stop *stop);

/* The limit that this thread is under; 0: none. */
unsigned stop_limit_seconds(void);

/* Returns 0, -ECANCELED, or -ETIME: the deadline has passed. */
int stop_asked(void);

/* An error that says nothing of what was looked at. */
static inline bool stop_is_error(int error)
{
	return error == -ECANCELED || error == -ETIME;
}
