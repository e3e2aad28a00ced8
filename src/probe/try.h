/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects of our own, to try the kernel on. */

#include <stddef.h>
#include <stdint.h>

/*
 * A memfd of so many pages, of which just these are present, each in a folio of its own even where
 * the system makes all shared memory of large ones (shmem_enabled). The caller closes it. Returns a
 * descriptor or a negative errno.
 */
int try_object_create(uint64_t page_size, uint64_t pages, const uint64_t *written, size_t n);

/* Writes one more, likewise. Returns 0 or a negative errno. */
int try_object_write(int fd, uint64_t page_size, uint64_t page);
