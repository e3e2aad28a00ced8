/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The question "where in the swap is each page of this object?". */

#include "model/slot_map.h"
#include "probe/probe.h"

/*
 * Answers by the walk, whatever probe was chosen. Every extent is one that the pages had between
 * call and return; of a page that nobody touched meanwhile it is right whatever else moved. Pages
 * in the swap cache are among them.
 * Returns 0 and fills *ret (the caller calls slot_map_done), -EOPNOTSUPP when there is no walker or
 * the object is no shmem, or another negative errno.
 */
int probe_locate(struct prober *p, const struct probe_request *request, struct slot_map *ret);
