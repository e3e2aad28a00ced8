/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory that the service gave away: believed only if it cannot change any more. */

#include <stddef.h>
#include <stdint.h>

/*
 * The first n bytes of a sealed memfd, and its size in bytes. Returns 0, -EBADMSG (not sealed, or
 * shorter than that), or another negative errno.
 */
int sealed_read(int fd, void *header, size_t n, uint64_t *ret_size);

/* Maps size bytes of it for reading: the caller unmaps them. Returns 0 or a negative errno. */
int sealed_map(int fd, uint64_t size, void **ret);
