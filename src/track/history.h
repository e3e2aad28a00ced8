/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What was told of objects before, so that the next answer can be what has changed since. Every
 * answer is a generation: a snapshot with a number. As many are kept as fit into a limit of memory;
 * the oldest are dropped, and what was dropped is never made up.
 *
 * A page takes 3 bits of a kept generation at most, and next to nothing in uniform stretches. No
 * object is kept open or mapped. All of this may be called by any thread.
 */

#include <stdatomic.h>
#include <stddef.h>

#include "model/snapshot.h"
#include "track/identity.h"
#include "track/refaults.h"

/* Shared, and does not change once it has its number. Owns the snapshot. */
struct generation {
	atomic_uint n_references;
	uint64_t number; /* of what differs never the same, nor after a restart; 0: none */
	uint64_t began;  /* CLOCK_MONOTONIC, ns: when the look that it comes from */
	uint64_t ended;
	size_t bytes;  /* memory that it takes */
	bool in_order; /* what came back since the look before is known: none has overtaken it */
	struct snapshot snapshot;
};

/* Takes the snapshot's map, and copies the rest. NULL: out of memory, and nothing is taken. */
struct generation *generation_new(struct snapshot *s, uint64_t began, uint64_t ended);
struct generation *generation_ref(struct generation *g);
struct generation *generation_unref(struct generation *g); /* NULL is fine; returns NULL */

struct history;

struct history_usage {
	size_t objects;
	size_t generations;
	size_t bytes;
	size_t limit;     /* bytes */
	uint64_t dropped; /* generations, for want of room */
};

/* bytes: the limit. Returns 0 or a negative errno. */
int history_new(size_t bytes, struct history **ret);
struct history *history_free(struct history *h); /* NULL is fine; returns NULL */
void history_set_limit(struct history *h, size_t bytes);
struct history_usage history_usage(struct history *h);

enum history_keep {
	HISTORY_KEEP,           /* the oldest make room */
	HISTORY_KEEP_OF_OTHERS, /* the same, but those of others only: they have half of it */
	HISTORY_KEEP_IF_ROOM,   /* nothing is dropped for it */
};

/*
 * A look at the object has shown g, which gets its number: that of the newest one that is kept
 * about the same pages, if nothing differs, else one of its own, and is then kept too. number 0: it
 * is not, for there is no room, or the object cannot be known again. Returns 0 or -ENOMEM (then
 * number is 0 too).
 */
int history_add(struct history *h, const struct identity *id, enum history_keep keep,
		struct generation *g);

/* What an object has, if a number is not among it. */
struct history_bounds {
	uint64_t oldest; /* 0: none is kept */
	uint64_t newest;
};

/*
 * What was told by that number. Returns 0 (the caller calls generation_unref), or -ESTALE: not of
 * this object, or dropped.
 */
int history_find(struct history *h, const struct identity *id, uint64_t number,
		 struct generation **ret, struct history_bounds *ret_bounds);

/*
 * What events told of an object between two looks of whoever follows it. Looks alone do not see
 * what went out and came back in between.
 */
struct witness {
	uint64_t since; /* CLOCK_MONOTONIC, ns: each page that went out from then on is known; 0: no
			 */
	uint64_t counted; /* likewise: when the look before this one ended; 0: it is the first */
	const struct page_range *outs; /* that went out in between, in order; no page twice */
	size_t n_outs;
	bool certain; /* they did go out; else they were about to */
};

/*
 * A look of whoever follows the object: it gets no number and replaces the one before, and what is
 * known of the object stays until history_unfollow(). Returns 0, -EAGAIN (another look has
 * overtaken it: what the witness told is for the next one), -ENOSPC (there is no room), -EOPNOTSUPP
 * (the object cannot be known again), or -ENOMEM; then what came back is known anew from the next
 * one on.
 */
int history_follow(struct history *h, const struct identity *id, enum history_keep keep,
		   const struct witness *w, struct generation *g);
void history_unfollow(struct history *h, const struct identity *id);

/* What came back, as far as it was seen. Owns refaults. */
struct comebacks {
	uint64_t observed; /* CLOCK_MONOTONIC, ns: of the first look; 0: there was none */
	uint64_t known;    /* likewise: nothing is missing since then; 0: something may be */
	struct refaults refaults;
};

/* Returns 0 (the caller calls refaults_done), or -ENOMEM. */
int history_comebacks(struct history *h, const struct identity *id, struct comebacks *ret);

/* Drops what nobody was told for so long. */
void history_expire(struct history *h, uint64_t age_ns);
