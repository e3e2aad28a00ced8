/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stands in for walker.c in a build without BPF: there never is a walker. */

#include <errno.h>
#include <stddef.h>

#include "probe/walker-inside.h"
#include "probe/walker.h"

int walker_new(enum walker_use use, struct walker **ret)
{
	(void)use;
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

struct swap_shared *walker_swap(struct walker *w)
{
	(void)w;
	return NULL;
}

int walker_swap_find(struct walker *w)
{
	(void)w;
	return -EOPNOTSUPP;
}

int walker_swap_types(struct walker *w, uint64_t swap_info, uint64_t zswap_trees)
{
	(void)w;
	(void)swap_info;
	(void)zswap_trees;
	return -EOPNOTSUPP;
}

int walker_swap_copy(struct walker *w, uint64_t n_runs, bool use_table)
{
	(void)w;
	(void)n_runs;
	(void)use_table;
	return -EOPNOTSUPP;
}

int walker_swap_contents(struct walker *w, uint64_t first, uint64_t n_runs)
{
	(void)w;
	(void)first;
	(void)n_runs;
	return -EOPNOTSUPP;
}
