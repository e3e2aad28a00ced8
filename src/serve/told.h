/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a client was told who goes on being told: the next reply starts from there. */

#include "serve/result.h"
#include "serve/watch.h"
#include "track/events.h"

/* What goes on being told. */
enum told_event {
	TOLD_STATE,     /* all of it */
	TOLD_READY,     /* that was all; from now on changes are told */
	TOLD_CHANGES,   /* since what was told before */
	TOLD_HEARTBEAT, /* nothing else */
};

/* How long it is between looks at least if nothing hints at changes, ns. */
#define TOLD_INTERVAL UINT64_C(1000000000)

/* So many of an object's holders, and as many mappers, are remembered to find it by. */
#define TOLD_PLACES 4

/* One of many objects. Owns all of it. */
struct told_object {
	struct identity id;            /* first, for bsearch() */
	struct generation *generation; /* what was told last; NULL: it could not be looked at */
	struct watch *watch;           /* NULL: events are not counted */
	bool counted, counted_now;     /* events were, then, and as the next look began */
	struct event_counts counts, counts_now;
	bool tells[EVENT_KIND_MAX]; /* which of them are known at all */
};

/* By identity. */
struct told_objects {
	struct told_object *items;
	size_t n_items;
};

/* What a client was told that is told again and again. The loop's; it rests while a worker reads.
 */
struct told {
	bool begun;
	struct told_objects objects;   /* of Monitor */
	uint64_t replied;              /* CLOCK_MONOTONIC, ns: when it began; 0: not yet */
	struct generation *generation; /* a reference; NULL: nothing yet */
	char object[OBJECT_ID_MAX];
	uint64_t looked; /* CLOCK_MONOTONIC, ns: when the last look began */
	uint64_t took;   /* ns */
	enum events_level level;
	uint64_t lost; /* events */
};

/* NULL: it was not told of. */
const struct told_object *told_find(const struct told *told, const struct identity *id);

/* A look is about to begin: how many events there were until then. */
void told_count_events(struct told *told);

/*
 * The objects of that result have been told: they take the place of those before. Returns how many
 * bytes are kept for them, or -ENOMEM.
 */
ssize_t told_remember(struct told *told, struct watches *watches, const struct result *result);

void told_forget(struct told *told);
