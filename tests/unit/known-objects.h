/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects whose pages are known, to compare with what an unsure walk says of them. */

#include "objects.h"

extern struct kcaps known_caps; /* with what a walk can do on the kernel as it is */

/*
 * Makes them, with swap of our own if TESTS_ROOT=1 is in the environment. Returns 0, or the
 * negative errno that says why there is no walk here.
 */
int known_begin(void);
void known_end(void);

/*
 * False, and why: the prober says something wrong of some object. A page that is unknown is not
 * wrong, but sets *ret_partly; neither is a content that is. Locate: where they lie, too.
 */
bool known_are_right(struct prober *p, bool locate, bool *ret_partly, char *why, size_t size);
