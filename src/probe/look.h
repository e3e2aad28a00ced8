/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One pass over a range of pages: from the kernel's answers to extents. */

#include "model/extent.h"
#include "probe/window.h"

/*
 * Appends the states of pages [first, end) to extents. Where present and swap_cache were not told
 * apart the state is PAGE_IN_CORE. probe->run is used if it holds the page, so clear it when what
 * SEEK said may have grown old. Returns 0 or a negative errno.
 */
int look(struct window_probe *p, uint64_t first, uint64_t end, struct extent_list *extents);
