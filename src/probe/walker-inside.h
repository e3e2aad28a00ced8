/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The programs of a walker, for walker-try.c and the swap-*.c alone. Return 0 or a negative errno.
 */

#include "bpf/swap.h"
#include "probe/walker.h"

/* As walker_read(), of whatever the descriptor is of. */
int walker_read_chunk(struct walker *w, const struct walk_args *args, struct walker_chunk *ret);

struct swap_shared *walker_swap(struct walker *w); /* what they read and write */
int walker_swap_find(struct walker *w);
int walker_swap_types(struct walker *w, uint64_t swap_info, uint64_t zswap_trees);
int walker_swap_copy(struct walker *w, uint64_t n_runs, bool use_table);
int walker_swap_contents(struct walker *w, uint64_t first, uint64_t n_runs);
