/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel tells of changes of watched objects, by BPF programs (bpf/track-*.bpf.c). An
 * event is a hint: it says where to look first, and wakes who waits. What a page's state is, only a
 * look at it tells; an event that is lost may delay, never falsify. An event comes with the change,
 * a swap-out even a little before; and that a page leaves the swap cache none tells: look again.
 *
 * Programs are loaded once, and attached only while somebody watches: attaching takes no privilege
 * that loading took. One thread at a time uses a struct events.
 */

#include <stdbool.h>
#include <stdint.h>

#include "probe/kcaps.h"

/* What the kernel lets us have, found by trying. Each has all that those before it have. */
enum events_level {
	EVENTS_NONE,     /* nothing can be loaded: looks alone tell of changes */
	EVENTS_SWAP_OUT, /* tracepoint mm_vmscan_write_folio: swap-outs */
	EVENTS_ALL,      /* functions of the kernel (fentry): all of enum event_kind */
	EVENTS_LEVEL_MAX,
};

enum event_kind {
	EVENT_SWAP_OUT, /* written to swap, or about to be */
	EVENT_SWAP_IN,
	EVENT_INSERT,  /* a page is new, or comes back: what a swap-in inserts, too */
	EVENT_REMOVE,  /* punched out or truncated */
	EVENT_SWAPOFF, /* the object's swap entries are brought in, wherever they are */
	EVENT_KIND_MAX,
};

struct event {
	enum event_kind kind;
	uint64_t inode; /* as in struct walk_facts; 0: of any object, perhaps of none watched */
	uint64_t first; /* pages */
	uint64_t count; /* UINT64_MAX: to the end */
};

struct events;

/*
 * Loads the best level that is to be had, but none above the limit, and attaches nothing. Never
 * fails for want of BPF: the level is then EVENTS_NONE, and events_error() says why. Returns 0 or
 * -ENOMEM.
 */
int events_new(enum events_level limit, struct events **ret);
struct events *events_free(struct events *e); /* NULL is fine; returns NULL */

enum events_level events_level(const struct events *e);
/* Why that level is not to be had: a negative errno; 0: it is, or the limit forbade it. */
int events_error(const struct events *e, enum events_level level);
void events_tell(const struct events *e, struct kcaps *caps); /* puts into caps what it can do */
const char *events_level_to_string(enum events_level level);  /* never NULL */
const char *event_kind_to_string(enum event_kind kind);       /* never NULL */

/*
 * An object is watched, by the address of its inode. Counted: it takes as many events_unwatch().
 * The first watch of all attaches the programs, the last unwatch detaches them. Returns 0 (at level
 * EVENTS_NONE too, where nothing ever comes), or a negative errno: then nothing is watched that was
 * not before.
 */
int events_watch(struct events *e, uint64_t inode);
void events_unwatch(struct events *e, uint64_t inode);
/* Likewise, whatever shared memory changes: inodes are then 0 where they are not known. */
int events_watch_all(struct events *e);
void events_unwatch_all(struct events *e);
bool events_attached(const struct events *e);

/*
 * Becomes readable when the first event comes after events_consume(); those that follow do not
 * wake again. -1: it never does.
 */
int events_fd(const struct events *e);

typedef void (*events_visit)(void *context, const struct event *event);

/*
 * Gives all that came before the call, joined into ranges where pages follow each other; in order
 * of time only within one CPU. Returns how many, or a negative errno. visit must not call
 * events_*().
 */
int events_consume(struct events *e, events_visit visit, void *context);

/* How many the kernel could not hand over so far: when it has grown, a new look is due. */
uint64_t events_lost(const struct events *e);

/* Whether events of that kind come at all, at the level that is. */
bool events_tells(const struct events *e, enum event_kind kind);

/*
 * Since the object is watched, also what was lost on its way here: pages by kind, but of
 * EVENT_REMOVE and EVENT_SWAPOFF how often. 0 for what events_tells() denies.
 */
struct event_counts {
	uint64_t n[EVENT_KIND_MAX];
};

/*
 * Returns 0, -ENOENT (not watched), or -EOPNOTSUPP: it is not known whose pages go (level
 * EVENTS_NONE, or EVENTS_SWAP_OUT with more objects than are searched, now or at some time since).
 */
int events_count(const struct events *e, uint64_t inode, struct event_counts *ret);

/* For tests: every so many-th event is dropped, and counted as lost (1: all, 0: none). */
void events_set_drop(struct events *e, unsigned every);
