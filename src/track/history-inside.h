/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the history:
 *   history.c         what was told, and how much of it is kept
 *   history-follow.c  what each object did from one look to the next
 * All of this is under the lock.
 */

#include <pthread.h>
#include <sys/queue.h>

#include "track/history.h"

struct past;

TAILQ_HEAD(kept_list, kept);

/* A generation that may be asked for. */
struct kept {
	TAILQ_ENTRY(kept) link;    /* of all, by when they were told last */
	TAILQ_ENTRY(kept) of_past; /* of the object, by number */
	struct past *past;
	struct generation *generation;
	bool of_others;
	uint64_t told; /* CLOCK_MONOTONIC, ns */
};

/* An object. */
struct past {
	struct identity id; /* first: tsearch() is given either */
	struct kept_list kept;
	uint64_t observed;       /* CLOCK_MONOTONIC, ns: of the first look at the whole; 0: none */
	struct generation *last; /* the last look at the whole; NULL: it was dropped */
	size_t n_last;           /* bytes that it takes, if it is not kept */
	uint64_t last_began, last_ended;
	struct refaults refaults;
	uint64_t known; /* what has come back since then is in refaults; 0: it may not be */
	bool followed;
	bool of_others; /* it is followed for others only */
};

struct history {
	pthread_mutex_t lock;
	void *pasts; /* tsearch() */
	struct kept_list all;
	uint64_t next;
	struct history_usage usage;
	size_t of_others;  /* bytes, of generations that are kept */
	size_t for_others; /* bytes, for objects that are followed: these cannot make room */
};

bool history_is_whole(const struct snapshot *s); /* of all pages of its object */

struct past *past_find(struct history *h, const struct identity *id); /* NULL: nothing is known */
struct past *past_add(struct history *h, const struct identity *id);  /* NULL: out of memory */
void past_drop(struct history *h, struct past *past);

/* Memory that is taken and given for the object, besides the generations that are kept. */
void past_account(struct history *h, const struct past *past, size_t taken, size_t given);

/* The last look is forgotten: what has happened until the next one will not be known. */
void past_drop_last(struct history *h, struct past *past);
/*
 * g is the last look from now on; shown is it, or is the same page by page. n: bytes that nobody
 * else counts.
 */
void past_replace_last(struct history *h, struct past *past, struct generation *shown, size_t n,
		       const struct generation *g);

/*
 * What the object did since the last whole look. One that began before that had ended tells of no
 * order of things, and is left out: false.
 */
bool past_follow(struct history *h, struct past *past, const struct generation *g);

/* False: so many bytes do not fit. Any kept generation may have gone. */
bool history_make_room(struct history *h, size_t bytes, enum history_keep keep);
