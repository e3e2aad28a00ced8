/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whose an object is: the control groups and units of the processes that hold or map it. */

#include "model/object.h"

/* Processes of one control group. Owns its strings. */
struct owner {
	char *cgroup; /* NULL: not known, see error */
	char *unit;   /* NULL: it is of none, or not known */
	int error;    /* negative errno; 0: all is known */
	size_t processes;
};

struct owners {
	struct owner *items;
	size_t n_items, n_allocated;
};

void owners_done(struct owners *o);

/* What was asked of a process, for several objects that it may have. All zeros: nothing yet. */
struct owner_cache {
	struct process_owner {
		pid_t pid;
		char *cgroup;
		char *unit;
		int error;
	} * items; /* by pid */
	size_t n_items, n_allocated;
};

void owner_cache_done(struct owner_cache *cache);

/* Returns 0 (the caller calls owners_done) or -ENOMEM. */
int owners_find(struct owner_cache *cache, const struct object *o, struct owners *ret);
