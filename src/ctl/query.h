/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From the command line to objects, and from an object to its snapshot. */

#include "ctl/ctl.h"
#include "model/snapshot.h"
#include "view/inspect.h"

/* What a verb works on. Starts all zero but discovery.proc_fd = -1: QUERY_NONE. */
struct query {
	struct kcaps caps;
	struct prober prober;
	struct discovery discovery;
	struct object **objects; /* those that the selector matches */
	int n_objects;
};

#define QUERY_NONE ((struct query){.discovery = {.proc_fd = -1}})

void query_done(struct query *q);

/*
 * Discovers and selects. all_processes: look at every process even if the selector names one.
 * Returns 0, or an exit code after a message.
 */
int query_open(struct query *q, const struct options *o, bool all_processes);

/* The one object that the selector means, or NULL after a message that lists what it matches. */
struct object *query_one(const struct query *q, const char *verb);

/*
 * A range that reaches beyond the object names pages that do not exist. Returns 0, or an exit code
 * after a message.
 */
int query_check_range(const struct options *o, const struct page_range *range, uint64_t pages);

/* What could not be read while discovering is said on stderr. Returns EXIT_INCOMPLETE if anything.
 */
int query_report_denied(const struct query *q);
