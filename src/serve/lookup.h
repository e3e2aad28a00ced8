/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Looks at paths, each in a thread of its own. One that leads to a file system whose server does
 * not answer holds up that thread, for as long as the kernel waits; a worker only for as long as
 * the look may take, on behalf of others for seconds.
 */

#include "discover/target.h"
#include "serve/access.h"

/* So many may be under way on behalf of root and the group, and of others: one of each user's. */
#define LOOKUPS_PRIVILEGED_MAX 16
#define LOOKUPS_OTHERS_MAX 8

/*
 * As target_find(); a struct target_finder's. context: a struct access. Besides its errors: -ETIME
 * and -ECANCELED, as stop_asked() has it, and -EUSERS: others have been under way for too long.
 */
int lookup_find(void *context, const char *path, struct target *ret);
