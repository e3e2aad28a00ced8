/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which device or file a swap is. A line of /proc/swaps does not say its type: types that are not
 * in use have no line, and swapon takes the lowest free type. So what a line names is compared with
 * what the swap itself has open.
 */

#include <sys/stat.h>

#include "bpf/swap.h"
#include "model/slot_map.h"

/* Is what stat said the block device or the file that this swap lies on? */
bool swap_type_is(const struct swap_type *type, const struct stat *st);

/*
 * The kernel's own name of the block device that this swap lies on, below /dev: for where no
 * devices are to be seen, and /proc/swaps therefore has no path that leads there. A copy that the
 * caller frees; NULL: it is no block device, or has none.
 */
char *swap_type_name(const struct swap_type *type);

/* The path of a line of /proc/swaps, as a copy that the caller frees; NULL: there is none. */
char *swap_line_path(const char *line);

/*
 * Fills ret_swaps for types[SWAP_TYPES] by what /proc/swaps (text; NULL: it cannot be read) names.
 * The caller frees the paths.
 */
void swap_names_match(const char *text, const struct swap_type *types, struct slot_swap *ret_swaps);
