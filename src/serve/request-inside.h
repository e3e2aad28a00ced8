/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of requests:
 *   request.c        from a question to replies
 *   request-share.c  which of them one look answers
 *   standing.c       those that are answered again and again
 */

#include "serve/request.h"

/* A look at something, and who waits for it. The first of them has the question. */
struct scan {
	struct task task;
	TAILQ_ENTRY(scan) link; /* in the waiting ones */
	bool listed;
	bool timed_out;
	sd_event_source *late; /* when its time is over */
	struct requests *all;
	char *key;                      /* NULL: not to be shared */
	TAILQ_HEAD(, request) requests; /* once it has begun it does not change */
};

/* One call. While it streams it is a task of its own, in which further replies are made. */
struct request {
	struct task task;
	TAILQ_ENTRY(request) link;
	struct requests *all;
	struct connection *connection; /* NULL: gone. In the loop only */
	struct scan *scan;             /* NULL: that is done */
	bool making;                   /* the task is under way */
	struct peer peer;
	bool privileged;
	size_t message_bytes; /* limits, as they were when the call came */
	size_t batch_bytes;
	struct question question;
	struct answer answer;
	bool has_answer;
	int error;                 /* replies could not be made */
	struct standing *standing; /* NULL: it is over when it was answered */
};

/* A text that two requests share if one look answers both; the caller frees it. NULL: none. */
char *request_key(const struct request *r);
/* Joins a look that has not begun, at the same, for somebody with the same rights. */
bool request_join(struct request *r, const char *key);

/*
 * Takes a look for the request, which has none under way. ret: NULL, or where too much may be
 * waiting: then it is refused, by -EBUSY. Returns 0 or a negative errno.
 */
int request_look(struct request *r, struct busy *ret);
/* More replies are made. */
void request_go_on(struct request *r);
/* It has no look under way, nor replies being made. */
void request_free(struct request *r);
