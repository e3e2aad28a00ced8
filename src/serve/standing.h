/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Calls that are answered again and again: Subscribe and Monitor. Each look is one like any other,
 * with the peer's rights, asked for anew; between looks nothing of an object is held but what the
 * client was told of it. Events make looks come sooner, and are needed for nothing. All of this is
 * for the loop.
 */

#include "serve/request.h"

struct standing;
struct told;

/* r: whose part it is. Returns 0 or a negative errno. */
int standing_new(struct request *r, struct standing **ret);
struct standing *standing_free(struct standing *s); /* NULL is fine; returns NULL */

/* What the client was told, for the next answer. */
struct told *standing_told(struct standing *s);

/* A look has come to its end, and all replies about it were made. May free the request. */
void standing_answered(struct standing *s);
/* All that was sent has been written. May free the request. */
void standing_drained(struct standing *s);
/* The client has gone: nothing is waited for any more. */
void standing_quiet(struct standing *s);
/* It is to end, by an error. May free the request. */
void standing_stop(struct standing *s);

/* How long after a look that took so long the next one is, if nothing hints at changes: ns. */
uint64_t standing_interval(uint64_t took, uint64_t least);
