/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a question to a result: discover, open, probe, close, on behalf of a peer. Runs in a worker;
 * when it returns no object is open any more.
 */

#include "serve/access.h"
#include "serve/pool.h"
#include "serve/question.h"
#include "serve/result.h"

/* Never fails: what went wrong is in the result, as an error for the peer. */
void examine(struct worker *w, const struct question *q, struct access *access,
	     struct history *history, struct result *result);
