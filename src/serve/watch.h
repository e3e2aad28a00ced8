/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who waits for changes of which object, in the loop. What the kernel tells of is only a hint: it
 * wakes who waits, who then takes a look. Nothing is attached while nobody watches.
 */

#include <systemd/sd-event.h>

#include "track/events.h"
#include "util/parse.h"

struct watches;
struct watch;

/*
 * events: borrowed, and nobody else's from now on; NULL: there are none, and nobody is ever woken.
 * Returns 0 or a negative errno.
 */
int watches_new(sd_event *event, struct events *events, struct watches **ret);
/* All watches must have gone. NULL is fine; returns NULL. */
struct watches *watches_free(struct watches *all);

/* What there is: EVENTS_NONE, too, if they could not be read. */
enum events_level watches_level(const struct watches *all);
/* Do events of that kind come at all? */
bool watches_tell(const struct watches *all, enum event_kind kind);
/* How many events were lost so far, whoever they were for. */
uint64_t watches_lost(const struct watches *all);
size_t watches_count(const struct watches *all);
bool watches_attached(const struct watches *all);

/* What came for a watch since it was asked last. */
struct watch_hints {
	uint64_t pages[EVENT_KIND_MAX]; /* by kind, as far as ranges tell */
	struct page_range hull;         /* count 0: none; UINT64_MAX: to the end */
	bool lost;                      /* some were lost: anything may have changed */
};

/* May be NULL. Called in the loop, a hundred times a second at most. It may free any watch. */
typedef void (*watch_callback)(void *context);

/* Reads what has come by now, at once. Who is to be woken is so later, as ever. */
void watches_read(struct watches *all);

/*
 * Watches an object by the address of its inode, struct snapshot's. The address is not to be
 * trusted for longer than looks confirm it: it may become another object's. Returns 0, -EOPNOTSUPP
 * (the address is 0: not known, or no events are to be had), or another negative errno.
 */
int watch_new(struct watches *all, uint64_t inode, watch_callback changed, void *context,
	      struct watch **ret);
struct watch *watch_free(struct watch *w); /* NULL is fine; returns NULL */

/* Besides, each event is given to visit, with the same context. It must not watch anything. */
void watch_each(struct watch *w, events_visit visit);

uint64_t watch_inode(const struct watch *w);
/* Gives what has come, and forgets it. */
struct watch_hints watch_take(struct watch *w);

/* Pages since somebody began to watch this object. As events_count(). */
int watch_counts(const struct watch *w, struct event_counts *ret);
