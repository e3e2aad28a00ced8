/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of an answer: the parameters of its next reply.
 *   answer.c         replies, one after the other
 *   answer-states.c  Summarize and Classify
 *   answer-slots.c   Locate
 *   answer-candidates.c  FindCandidates and GetRefaults
 *   answer-list.c    ListObjects, GetObject, GetCapabilities
 *   answer-view.c    GetPagemap
 *   answer-events.c  Subscribe
 *   answer-monitor.c  Monitor
 */

#include "serve/answer.h"

/* What comes with the parameters. */
struct reply_draft {
	bool goes_on; /* another reply follows */
	int fd;       /* to be passed along; owned */
	int error;    /* negative errno: there is no such reply */
};

/* About so much of a message is left for what is not in an array. */
#define ANSWER_HEAD_BYTES 4096

/* How many items of so many bytes go into one message: one at least. */
size_t answer_room(const struct answer *a, size_t item_bytes);

/* The parameters, owned by the caller; where the answer is moved on. */
struct json_object *answer_summary(struct answer *a);
struct json_object *answer_states(struct answer *a, struct reply_draft *draft);
struct json_object *answer_subscription(struct answer *a, struct reply_draft *draft);
struct json_object *answer_monitor(struct answer *a, struct reply_draft *draft);
struct json_object *answer_slots(struct answer *a, struct reply_draft *draft);
struct json_object *answer_candidates(struct answer *a, struct reply_draft *draft);
struct json_object *answer_refaults(struct answer *a, struct reply_draft *draft);
struct json_object *answer_list(struct answer *a, struct reply_draft *draft);
struct json_object *answer_object(struct answer *a, struct reply_draft *draft);
struct json_object *answer_capabilities(struct answer *a);
struct json_object *answer_pagemap(struct answer *a, struct reply_draft *draft);

/* Extents, or changes if a->since, from a->page on, as far as they fit; where they go on. */
struct json_object *answer_pages(struct answer *a, bool *ret_goes_on);

/* There is nothing to be told: all is as it was told before. */
bool answer_is_silent(const struct answer *a);

/* What is known of one of many. */
struct json_object *answer_listed(const struct listed *l);
/* Adds whether some, or some of their holders, could not be seen. */
void answer_add_denied(struct json_object *j, const struct result *r);
