/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Discovery by BPF iterators: the kernel goes over all descriptors and mappings and hands out those
 * of shared memory. What takes /proc several system calls for each descriptor or mapping that there
 * is takes a read for some hundred that matter.
 */

#include "discover/discover.h"

/* Programs that are loaded. Two threads must not use them at the same time. */
struct iterators;

/*
 * Loads them, which takes some milliseconds. Returns 0, -EPERM (CAP_BPF and CAP_PERFMON are
 * needed), -EOPNOTSUPP (built without BPF), or another negative errno: this kernel cannot.
 */
int iterators_new(struct iterators **ret);
struct iterators *iterators_free(struct iterators *i); /* NULL is fine; returns NULL */

/*
 * Notes what all processes of our pid namespace hold and map, in the order in which /proc would
 * tell it. Returns 0 or a negative errno; then something may have been noted.
 */
int discover_iterate(struct discovery *d, struct iterators *i);
