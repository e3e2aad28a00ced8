/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Colours and the pager: only when stdout is a terminal. */

#include <stdbool.h>

#define TERMINAL_BOLD "\033[1m"
#define TERMINAL_NORMAL "\033[0m"

/* Sends stdout through a pager, unless it is no terminal or there is none. */
void pager_open(bool no_pager);
/* Flushes stdout and waits until the pager is left. Returns 0 or a negative errno (stdout broke).
 */
int pager_close(void);

/* Asked before and after pager_open() it says the same. NO_COLOR is honoured. */
bool terminal_has_colour(void);
