/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two answers to one question, compared page by page. No system calls in this folder. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/state_map.h"

/* Pages of which the two say something different. */
struct disagreement {
	uint64_t first; /* pages of the object */
	uint64_t count;
	enum page_state walk;
	enum page_state portable;
	/* A page of a large swap entry, of which the kernel looks up the first page only. */
	bool explained;
};

/* Owns items. All zero: nothing was compared. */
struct verification {
	bool done;                  /* two were asked */
	uint64_t compared;          /* pages of which both said something */
	uint64_t undetermined;      /* pages that one of them called unknown or in_core */
	uint64_t unexplained;       /* pages of the items below that are not explained */
	struct disagreement *items; /* in order */
	size_t n_items, n_allocated;
};

void verification_done(struct verification *v);

/* Compares two maps of the same pages. Returns 0 or -ENOMEM. */
int verification_compare(const struct state_map *walk, const struct state_map *portable,
			 struct verification *ret);

/* Leaves of the old items only those pages that are in the new ones too, as these say. */
int verification_keep(struct verification *old, const struct verification *new);
