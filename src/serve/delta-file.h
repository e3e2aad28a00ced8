/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What has changed, as <shmstate/delta.h> lays it out. */

#include "model/delta.h"
#include "serve/result.h"

/*
 * Of the pages that were asked for, those that came from or to one of the states. Returns a sealed
 * memfd, which the caller closes, or a negative errno.
 */
int delta_file_make(const struct result *r, struct page_range asked, page_state_mask states);

/* What was told then and what is now, of the pages that were asked for, from one of them on. */
struct delta delta_since(const struct generation *since, const struct snapshot *now,
			 struct page_range asked, uint64_t first);
