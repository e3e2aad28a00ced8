/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opening an object for the time of one request. */

#include "discover/discover.h"

/*
 * A descriptor for reading, through a holder's /proc/PID/fd/N, a mapper's map_files, the path, or
 * an attachment of our own (a SysV segment that nobody has attached), whichever works; verified to
 * be this very object. The caller closes it as soon as it has its answer: it keeps the memory
 * alive. Returns the descriptor, -EOPNOTSUPP (a kind that has no page states), -EACCES (all ways
 * are barred), -ENOENT (the object has gone), -EAGAIN (opening it would break a write lease),
 * -EBUSY (attaching it would remove it), or another negative errno.
 */
int object_open(const struct discovery *d, const struct object *o);
