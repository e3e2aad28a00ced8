/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Growing arrays: doubles, so that appending n items costs O(log n) allocations. */

#include <errno.h>
#include <stddef.h>

/* Makes room for item number n (counted from 0) in *items. Returns 0 or -ENOMEM. */
int array_reserve(void **items, size_t *allocated, size_t n, size_t item_size);

#define ARRAY_RESERVE(items, allocated, n) \
	array_reserve((void **)(items), (allocated), (n), sizeof(**(items)))
