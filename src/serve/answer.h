/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What one client is told of a result, message by message: none is longer than the limit, and no
 * more are made than the client reads. Making them takes a while, and is done in a worker.
 */

#include <sys/queue.h>

#include "serve/question.h"
#include "serve/result.h"
#include "serve/told.h"

/* A reply as it goes out. Owns data and fd. */
struct reply {
	STAILQ_ENTRY(reply) link;
	char *data;
	size_t length; /* the NUL included */
	size_t sent;
	int fd;              /* goes along with the first byte; -1: none */
	struct ledger *held; /* NULL, or where n_held is entered */
	uid_t held_by;
	size_t n_held;
};

STAILQ_HEAD(reply_list, reply);

/* Takes data and fd over. NULL: out of memory, and both are gone. */
struct reply *reply_new(char *data, size_t length, int fd);
struct reply *reply_free(struct reply *r); /* NULL is fine; returns NULL */

/* Enters its memory and its descriptor, until it is freed. As ledger_take(). */
int reply_hold(struct reply *r, struct ledger *held, uid_t uid, size_t *ret_total,
	       size_t *ret_of_user);
/* What was entered is the caller's to give back; returns how much. */
size_t reply_release(struct reply *r);

struct answer {
	const struct question *question; /* borrowed */
	struct result *result;           /* a reference of its own */
	const struct generation *since;  /* borrowed: changes since are told; NULL: all is */
	const struct told *told;         /* borrowed; NULL: this answer is the only one */
	size_t message_bytes;            /* limit of a message */
	bool begun;
	bool finished;
	bool refused;              /* by an error that is not the result's */
	uint64_t page;             /* that the next reply goes on with; of the object */
	size_t index;              /* likewise, for lists */
	struct reply_list replies; /* that were made */
	size_t n_bytes;            /* of these */
};

void answer_init(struct answer *a, const struct question *q, struct result *result,
		 size_t message_bytes);
void answer_done(struct answer *a);
/* This answer goes on from what was told before; others follow it. */
void answer_go_on_from(struct answer *a, const struct told *told);
/* The replies that were made are dropped. */
void answer_drop(struct answer *a);

/*
 * Makes replies until about n_bytes are there, or all. Returns 0, or -ENOMEM, after which the
 * connection is to be closed.
 */
int answer_make(struct answer *a, size_t n_bytes);

/* The replies that were made are dropped, for this, the last. NULL is -ENOMEM. */
int answer_refuse(struct answer *a, struct reply *reply);

/*
 * A single reply, of an error if error is not NULL; one that is longer than limit says that. Takes
 * parameters over.
 */
struct reply *answer_reply(const char *error, struct json_object *parameters, size_t limit);
/* The same, after which others follow. */
struct reply *answer_reply_of_many(struct json_object *parameters, size_t limit);

/* Says something, TOLD_READY or TOLD_HEARTBEAT, as it is at that moment. NULL: out of memory. */
struct reply *answer_notice(const struct told *told, enum told_event event, uint64_t now,
			    size_t limit);
