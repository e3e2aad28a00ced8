/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the cases of events-check have in common. */

#include <stdio.h>

#include "events-object.h"

#define PAGES 2048

#define CHECK(condition)                                                       \
	({                                                                     \
		int ok_ = (condition);                                         \
		if (!ok_)                                                      \
			printf("%s:%d: %s\n", __func__, __LINE__, #condition); \
		ok_;                                                           \
	})

extern struct events *events;
extern struct object *o, *other; /* of the case under way; the first is watched */

/* Gives these what came; b may be NULL. Returns how many events were of neither. */
uint64_t consume(struct object *a, struct object *b);

/*
 * Pages that left were told of, and no others. As many as were lost may be missing: where a program
 * can be preempted, others on that CPU are not told, and that counts as lost.
 */
bool told_what_left(struct object *x, uint64_t *ret_left);

/* events-races.c: others do something meanwhile. */
bool case_touched(void);
bool case_concurrent(void);
