/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The swap's accounting on trial, once for each prober: the first entries that it meets are asked
 * about in both ways, there and by mincore. What does not agree with mincore again and again is not
 * as we know it, and not used (swap_slots_refuse).
 *
 * It takes entries of an object that somebody else has: one of our own would have to be swapped out
 * for it. That both ways agree about some entries does not prove that they would about all: that an
 * entry which is in the swap cache is not taken for one that is not, we owe to what its unit says
 * besides (classify/units.h).
 */

#include "probe/prober.h"

/*
 * On the entries of the 64 pages around this one, if there are any and the way has not been
 * confirmed yet; then swap_slots.way may be another. Returns 0 or a negative errno.
 */
int swap_trial(struct prober *p, int fd, uint64_t page);
