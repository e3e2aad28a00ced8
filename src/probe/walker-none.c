/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stands in for walker.c in a build without BPF. */

#include <errno.h>
#include <stddef.h>

#include "probe/walker.h"

int walker_new(struct walker **ret)
{
	(void)ret;
	return -EOPNOTSUPP;
}

struct walker *walker_free(struct walker *w)
{
	(void)w;
	return NULL;
}

int walker_read(struct walker *w, const struct walker_place *place, struct walker_chunk *ret)
{
	(void)w;
	(void)place;
	(void)ret;
	return -EOPNOTSUPP;
}

void walker_get_stats(const struct walker *w, struct walker_stats *ret)
{
	(void)w;
	*ret = (struct walker_stats){0};
}
