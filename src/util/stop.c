/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "util/stop.h"

static _Thread_local struct stop *watched;

uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void stop_watch(struct stop *stop)
{
	watched = stop;
	if (stop && stop->limit && !stop->deadline)
		stop->deadline = monotonic_ns() + stop->limit * UINT64_C(1000000000);
}

unsigned stop_limit_seconds(void)
{
	return watched ? watched->limit : 0;
}

int stop_asked(void)
{
	if (!watched)
		return 0;
	if (atomic_load_explicit(&watched->cancelled, memory_order_relaxed))
		return -ECANCELED;
	return watched->deadline && monotonic_ns() >= watched->deadline ? -ETIME : 0;
}
