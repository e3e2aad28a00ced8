/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/delta.h"
#include "track/flows.h"

static bool is_of_ram(int state)
{
	return state == PAGE_PRESENT || state == PAGE_ALLOCATED || state == PAGE_IN_CORE;
}

struct moves moves_between(const struct snapshot *old, const struct snapshot *new)
{
	struct delta d = delta_seek(old, new, 0);
	struct moves moves = {0};
	struct change c;

	while (delta_next(&d, &c)) {
		if (is_of_ram(c.from) && (c.to == PAGE_SWAPPED || c.to == PAGE_SWAP_CACHE))
			moves.out += c.count;
		if (c.from == PAGE_SWAPPED && (is_of_ram(c.to) || c.to == PAGE_SWAP_CACHE))
			moves.in += c.count;
	}
	return moves;
}
