/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the service is told by shmstated.conf(5): one file, and drop-ins beside it, as systemd reads
 * them. What is wrong in a file is complained about and passed over; it never stops the service.
 */

#include <stddef.h>

#include "probe/prober.h"
#include "track/events.h"

/* A field a key: connections_per_user is ConnectionsPerUser=. */
struct config {
	unsigned workers;
	unsigned connections; /* whoever uses it keeps it below what RLIMIT_NOFILE allows */
	unsigned connections_per_user;
	unsigned pipelined_calls;
	size_t message_bytes;
	size_t queued_bytes; /* never below message_bytes: the longest reply must fit */
	unsigned queued_scans;
	size_t history_bytes;       /* 0: nothing is remembered */
	unsigned subscribe_batches; /* a second */
	unsigned scan_seconds;
	unsigned send_seconds;
	unsigned idle_seconds;    /* 0: never */
	enum probe_choice probe;  /* auto, portable or walk */
	enum events_level events; /* the most that may be had */
};

/* Told of each thing that is wrong. line is counted from 1; 0: the file as a whole. */
typedef void (*config_complain)(void *context, const char *file, unsigned line,
				const char *message);

/* What holds if no file says anything. */
void config_default(struct config *ret);

/*
 * Reads shmstated.conf and the drop-ins below root (NULL: the system's), or file alone if it is not
 * NULL. Returns 0, -ENOMEM, or the negative errno for which file could not be read; a file of the
 * system's that cannot be read is complained about.
 */
int config_load(const char *root, const char *file, config_complain complain, void *context,
		struct config *ret);
