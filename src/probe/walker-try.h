/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A new walker on trial, on objects of our own that show all that can be shown without swap. */

#include "probe/walker.h"

/*
 * Learns how shmem objects are known, and refuses (-EOPNOTSUPP) a kernel of which something reads
 * otherwise than it was made. Returns 0 or a negative errno.
 */
int walker_try(struct walker *w, uint64_t *ret_a_ops);
