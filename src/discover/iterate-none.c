/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stands for iterate.c in a build without BPF. */

#include <errno.h>
#include <stddef.h>

#include "discover/iterate.h"

int iterators_new(struct iterators **ret)
{
	(void)ret;
	return -EOPNOTSUPP;
}

struct iterators *iterators_free(struct iterators *i)
{
	(void)i;
	return NULL;
}

int discover_iterate(struct discovery *d, struct iterators *i)
{
	(void)d;
	(void)i;
	return -EOPNOTSUPP;
}
