/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Output that goes on until it is interrupted: monitor and watch. */

#include "ctl/remote.h"

/*
 * Asks with what goes on, and hands each reply to handler, until that returns LIVE_ENOUGH, the
 * service ends it, or a signal does: then the exit code is 0, and no line is left half printed.
 * gone: what it means that there is no such object (any more), once a reply came; NULL: a failure.
 * Returns an exit code.
 */
#define LIVE_ENOUGH (-ECANCELED)

int live_ask(struct remote *r, const char *method, struct json_object *parameters, bool about,
	     remote_handler handler, void *context, const char *gone);

/* stdout is a terminal, whose picture is to be replaced by the next. */
bool live_is_picture(const struct options *o);
/* Begins the next. Returns how many lines there is room for; 0: any number. */
unsigned live_next_picture(void);
