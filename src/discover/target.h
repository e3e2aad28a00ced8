/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a path leads to. To find that out may take forever: the path may lead to a file system whose
 * server does not answer (FUSE, NFS). Who must not wait for that gives a finder of his own.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "discover/device.h"

/* A file. Owns fd and real. */
struct target {
	int fd; /* by O_PATH: it cannot become another file */
	struct stat st;
	struct device device;
	bool have_generation;
	uint32_t generation;
	char *real; /* its path without links */
};

void target_done(struct target *t);

/* Returns 0, -ENOTTY (that is no regular file), or another negative errno. */
int target_find(const char *path, struct target *ret);

/* Does the same, or fails with errors of its own. context: borrowed. */
struct target_finder {
	int (*find)(void *context, const char *path, struct target *ret);
	void *context;
};

/* finder: NULL for target_find(). */
int target_find_by(const struct target_finder *finder, const char *path, struct target *ret);
