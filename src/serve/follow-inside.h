/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside of following: see follow.h. */

#include "serve/follow.h"
#include "util/ranges.h"

/* Of those who have an object so many are remembered, to find it by. */
#define FOLLOW_PLACES 8

struct follower {
	struct task task;
	LIST_ENTRY(follower) link;
	struct followers *all;
	struct identity identity;
	struct object *was; /* where it was seen last */
	enum history_keep keep;
	uint64_t until;          /* CLOCK_MONOTONIC, ns, as all times here */
	sd_event_source *timer;  /* the next look */
	struct watch *watch;     /* NULL: no events */
	uint64_t seen;           /* every swap-out from then on was told; 0: they are not */
	struct page_ranges outs; /* since the look before began */
	bool looking;
	bool ending;
	unsigned failed; /* looks in a row */
	bool no_room;    /* for the last one in the history: nothing will be known */

	/* For the look under way: the worker's. */
	struct history *history;
	struct page_ranges told; /* outs before it */
	struct witness witness;
	uint64_t inode; /* from here on it is what came of it */
	uint64_t began, ended;
	int error;
};

/* Takes a look, in a worker. */
void follow_look(struct follower *f, struct worker *w);
