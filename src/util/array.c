/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "util/array.h"

int array_reserve(void **items, size_t *allocated, size_t n, size_t item_size)
{
	size_t want;
	void *p;

	if (n < *allocated)
		return 0;
	want = *allocated ? *allocated * 2 : 8;
	while (want <= n)
		want *= 2;
	p = reallocarray(*items, want, item_size);
	if (!p)
		return -ENOMEM;
	*items = p;
	*allocated = want;
	return 0;
}
