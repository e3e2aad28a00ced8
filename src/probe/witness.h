/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The mappers' page tables, as a second witness: what is mapped from the file is present. */

#include "probe/probe.h"

/*
 * Turns pages in core into present ones where a witness of the request has them mapped.
 * Returns 0 or a negative errno; a witness that is gone or may not be read says nothing.
 */
int resolve_by_witness(const struct probe_request *request, struct extent_list *extents,
		       uint32_t *sources);
