/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The generation of a shmem inode, a random number given at its birth. Device and inode number are
 * not enough to name an object: a SysV segment's inode number is its shmid, on the same device as
 * the inodes of memfds, which are counted up; and numbers are used again.
 */

#include <stdint.h>

/* Both return 0 or a negative errno (-EOPNOTSUPP: this file system tells none). */
int generation_of_fd(int fd, uint32_t *ret);
/* Follows a symbolic link, and so takes /proc/PID/fd/N and map_files without opening the object. */
int generation_of_path(int dirfd, const char *path, uint32_t *ret);
