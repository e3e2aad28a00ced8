/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The swap programs of a walker, for swap-slots.c alone. Return 0 or a negative errno. */

#include "bpf/swap.h"
#include "probe/walker.h"

struct swap_shared *walker_swap(struct walker *w); /* what they read and write */
int walker_swap_find(struct walker *w);
int walker_swap_types(struct walker *w, uint64_t swap_info, uint64_t zswap_trees);
int walker_swap_copy(struct walker *w, uint64_t n_runs, bool use_table);
