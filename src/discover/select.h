/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Selectors: which objects a person means. The same for every verb. */

#include "discover/discover.h"

/* What is not given selects nothing away. */
struct selector {
	bool have_id;
	struct object_id id;
	pid_t pid; /* 0: not given */
	bool have_fd;
	int fd; /* of pid */
	bool have_address;
	uint64_t address; /* of pid: bytes */
	const char *path; /* borrowed */
	const char *name; /* borrowed */
};

/* True when nothing is given: every object is meant. */
bool selector_is_empty(const struct selector *s);

/*
 * Discovers what the selector can mean: one process if it names one and everything_else is false,
 * else all. A path is looked at even if no process has it open.
 * Returns 0, -ENOENT/-EACCES/... (the path cannot be looked at), -ENOTTY (the path is not shared
 * memory), -ESRCH (no such process), -ENODATA (/proc is not mounted), or another negative errno.
 */
int selector_discover(const struct selector *s, const struct discover_options *options,
		      const struct kcaps *caps, bool all_processes, struct discovery *ret);

/*
 * The objects that match, in order of discovery; the caller frees *ret, the discovery owns the
 * objects. Returns their number or a negative errno.
 */
int selector_match(const struct selector *s, const struct discovery *d, struct object ***ret);
