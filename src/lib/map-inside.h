/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the map reader.
 *   map.c       opening, and all checks
 *   map-read.c  reading what was found good
 */

#include <stdbool.h>

#include "lib/shmstate/shmstate.h"

#define BLOCK_PAGES UINT64_C(64)

struct shmstate_map {
	void *memory;                      /* header.size bytes; MAP_FAILED: none */
	struct shmstate_map_header header; /* as it was checked */
	const struct shmstate_map_segment *segments;
	const struct shmstate_map_block *blocks;
	uint64_t hint; /* a segment to look at first: whoever reads on is there, or at the next */
};
