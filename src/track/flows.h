/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What moved between two looks at an object, in which direction. No system calls. */

#include "model/snapshot.h"

/* Pages that were seen to move. What went out and came back in between is in neither. */
struct moves {
	uint64_t out; /* from RAM to the swap: swapped, or in the swap cache by now */
	uint64_t in;  /* swapped, and in RAM by now, in the swap cache or not */
};

/* Both must be about the whole object. */
struct moves moves_between(const struct snapshot *old, const struct snapshot *new);
