/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Calls that take a look at something. Those that want the same share one look, as long as it waits
 * for a worker and has not begun: what is told was true after the call came.
 */

#include "serve/access.h"
#include "serve/connection.h"
#include "serve/errors.h"
#include "serve/pool.h"
#include "serve/watch.h"

/* What requests need, and what they count; the server's. */
struct requests {
	sd_event *event;
	struct pool *pool;
	struct history *history;
	struct access_policy policy;
	size_t message_bytes;
	size_t queued_bytes;
	unsigned queued_scans;
	unsigned scan_seconds;      /* from the call on, the time in the queue included */
	TAILQ_HEAD(, scan) waiting; /* that may be joined */
	struct watches *watches;
	struct followers *followers;
	unsigned batches;     /* a second, at most, of those that go on */
	size_t n_standing[2]; /* calls that go on; [true]: of the privileged */
	struct ledger held;   /* memory of calls, results and replies, bytes */
	uint64_t n_scans, n_shared, n_cancelled;
	/* A call has been answered in full, by an error or not. */
	void (*answered)(struct connection *c, bool error);
};

struct request;

/*
 * Begins to answer. Takes the question over. Returns 0, -EBUSY (too many looks are waiting: *ret
 * says how many may), or -ENOMEM; the question is gone in any case. c->call is the request until it
 * has been answered.
 */
int request_new(struct requests *all, struct connection *c, struct question *q, struct busy *ret);

/* What was made has been written: goes on where there is more. */
void request_drained(struct request *r);

/* The client has gone. What is under way for it alone is given up. */
void request_abandon(struct request *r);

/* The service ends: a call that would go on is ended, by an error. */
void request_stop(struct request *r);
