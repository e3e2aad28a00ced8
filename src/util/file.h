/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading small files of /proc and /sys below a root, so that tests can replay a captured tree. */

#include <stddef.h>
#include <sys/types.h>

/*
 * The whole of the file path below the directory dirfd (or AT_FDCWD) as a string, NUL-terminated.
 * The caller frees *ret. Returns its length or a negative errno.
 */
ssize_t file_read_at(int dirfd, const char *path, char **ret);

/*
 * What the symbolic link says, as bytes with a NUL behind. A target longer than PATH_MAX is an
 * error (-ENAMETOOLONG). The caller frees *ret. Returns 0 or a negative errno.
 */
int link_read_at(int dirfd, const char *path, char **ret);
