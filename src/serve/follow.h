/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Objects that somebody asks about what came back from the swap are followed for a while after each
 * call: looks about every second, and events in between, so that the next call can be told more.
 * Between two looks nothing of the object is open. All of this is for the loop.
 *   follow.c       who is followed, until when, and when the next look is
 *   follow-look.c  the look, in a worker
 */

#include "serve/request.h"

struct followers;

int followers_new(struct requests *all, struct followers **ret);
/* No look may be under way. NULL is fine; returns NULL. */
struct followers *followers_free(struct followers *all);

/* Nobody is followed any more from now on. */
void followers_stop(struct followers *all);
size_t followers_count(const struct followers *all);
/* Told when the first is followed, and when nobody is any more. */
void followers_on_change(struct followers *all, void (*changed)(void *context), void *context);

/*
 * A look at an object, on behalf of a call, is over: what events tell of the time since the
 * follower's last look is added to the result, and the object goes on being followed. What is not
 * known, and why, is in the result too.
 */
void followers_tell(struct followers *all, const struct request *r, struct result *result);
