/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A line on stderr that says what is being waited for, and for how long: only on a terminal, and
 * only when it takes longer than a second. It is gone before anything else is printed.
 */

#include <stdbool.h>
#include <stdint.h>

/* what: "looking at pages"; static. Returns false if there is none, or one that says something else
 * already, which stays. */
bool progress_start(const char *what);
/* How many of how many are done; 0 of 0: not known. */
void progress_tell(uint64_t done, uint64_t total);
/* Takes the line away. No harm if there is none. */
void progress_stop(void);
