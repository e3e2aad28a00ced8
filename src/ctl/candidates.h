/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * shmstatectl candidates and refaults.
 *   candidates.c         what they ask, and print
 *   candidates-idle.c    candidates --idle: of these, what was not accessed within the age
 *   remote-candidates.c  what is asked of candidates
 */

#include "ctl/json.h"
#include "ctl/remote.h"
#include "ctl/table.h"
#include "track/idle.h"

/* Pages of an answer, as they come: candidates, or what came back. */
struct row {
	uint64_t first;
	uint64_t count;
	bool have_address;
	uint64_t address;
	uint64_t times;
	uint64_t ago; /* seconds */
};

/* One of the two, while its replies come. */
struct pages {
	const struct options *options;
	const char *array; /* in replies, and in JSON */
	bool (*take)(struct json_object *j, struct row *ret);
	void (*head)(const struct pages *p, struct json_object *reply); /* of the table */
	struct table table;
	struct json_stream stream;
	struct json_object *first; /* reply */
};

/* What comes before the rows, out of p->first; then these. */
void pages_begin(struct pages *p);
void pages_print(struct pages *p, const struct row *row);

/*
 * How long until it is known what came back within the age, in seconds; 0: it is, or never will be.
 * From then on the service follows the object. Returns 0 or a negative errno.
 */
int ask_for_proof(struct remote *r, struct page_range range, uint64_t *ret);

/* Which pages of an object are accessed while we wait. */
struct idle_watch {
	struct idle tracker;
	struct idle_target target;
	pid_t *pids; /* of the target */
	struct idle_frames marked;
	struct page_ranges watched; /* of them it is known, */
	struct page_ranges idle;    /* and these were not accessed */
};

void idle_watch_done(struct idle_watch *w);

/* Each returns 0, or an exit code after a message. */
int idle_watch_check(void); /* Can it be done here? */
/* When it returns the age is over. */
int idle_watch_begin(struct idle_watch *w, struct remote *r, struct page_range range);
int idle_watch_end(struct idle_watch *w);
/* Asks for candidates, and prints those that were not accessed, no more than max pages of them. */
int idle_watch_ask(const struct idle_watch *w, struct remote *r, struct pages *p,
		   struct page_range range, uint64_t max);
