/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What has changed, as <shmstate/delta.h> lays it out. */

#include "serve/result.h"

/*
 * Of the result's pages from its range on, those that came from or to one of the states. Returns a
 * sealed memfd, which the caller closes, or a negative errno.
 */
int delta_file_make(const struct result *r, page_state_mask states);
