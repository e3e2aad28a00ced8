/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "serve/answer-inside.h"
#include "serve/errors.h"
#include "serve/message.h"
#include "util/util.h"

struct reply *reply_new(char *data, size_t length, int fd)
{
	struct reply *r = data ? calloc(1, sizeof(*r)) : NULL;

	if (!r) {
		free(data);
		closep(&fd);
		return NULL;
	}
	r->data = data;
	r->length = length;
	r->fd = fd;
	return r;
}

struct reply *reply_free(struct reply *r)
{
	if (!r)
		return NULL;
	if (r->held)
		ledger_give(r->held, r->held_by, r->n_held);
	free(r->data);
	closep(&r->fd);
	free(r);
	return NULL;
}

int reply_hold(struct reply *r, struct ledger *held, uid_t uid, size_t *ret_total,
	       size_t *ret_of_user)
{
	size_t bytes = r->length;
	struct stat st;
	int error;

	if (r->fd >= 0)
		bytes += LEDGER_DESCRIPTOR_BYTES;
	if (r->fd >= 0 && fstat(r->fd, &st) == 0)
		bytes += (size_t)st.st_blocks * 512;
	error = ledger_take(held, uid, bytes, ret_total, ret_of_user);
	if (error < 0)
		return error;
	r->held = held;
	r->held_by = uid;
	r->n_held = bytes;
	return 0;
}

size_t reply_release(struct reply *r)
{
	size_t bytes = r->held ? r->n_held : 0;

	r->held = NULL;
	return bytes;
}

struct reply *answer_reply(const char *error, struct json_object *parameters, size_t limit)
{
	size_t length = 0;
	char *data = reply_format(error, false, parameters, &length);

	/* An error may repeat a name that the client gave, as long as a message may be. */
	if (data && length > limit) {
		free(data);
		data = reply_format(ERROR_TOO_LARGE, false, error_with_number("limit", limit),
				    &length);
	}
	return reply_new(data, length, -1);
}

struct reply *answer_reply_of_many(struct json_object *parameters, size_t limit)
{
	size_t length = 0;
	char *data = reply_format(NULL, true, parameters, &length);

	if (data && length > limit) {
		free(data);
		data = NULL;
	}
	return reply_new(data, length, -1);
}

void answer_init(struct answer *a, const struct question *q, struct result *result,
		 size_t message_bytes)
{
	*a = (struct answer){
		.question = q,
		.result = result_ref(result),
		.since = result->since,
		.message_bytes = message_bytes,
	};
	STAILQ_INIT(&a->replies);
}

void answer_go_on_from(struct answer *a, const struct told *told)
{
	a->told = told;
	a->since = told->generation;
}

void answer_drop(struct answer *a)
{
	struct reply *r;

	while ((r = STAILQ_FIRST(&a->replies))) {
		STAILQ_REMOVE_HEAD(&a->replies, link);
		reply_free(r);
	}
}

int answer_refuse(struct answer *a, struct reply *reply)
{
	answer_drop(a);
	if (!reply)
		return -ENOMEM;
	STAILQ_INSERT_TAIL(&a->replies, reply, link);
	a->refused = a->finished = true;
	return 0;
}

void answer_done(struct answer *a)
{
	answer_drop(a);
	a->result = result_unref(a->result);
}

/* The next reply, with what goes on after it in the answer; page and index are moved on. */
static struct json_object *make_parameters(struct answer *a, struct reply_draft *draft)
{
	switch (a->question->method) {
	case METHOD_SUMMARIZE:
		return answer_summary(a);
	case METHOD_CLASSIFY:
		return answer_states(a, draft);
	case METHOD_SUBSCRIBE:
		return answer_subscription(a, draft);
	case METHOD_MONITOR:
		return answer_monitor(a, draft);
	case METHOD_FIND_CANDIDATES:
		return answer_candidates(a, draft);
	case METHOD_GET_REFAULTS:
		return answer_refaults(a, draft);
	case METHOD_LOCATE:
		return answer_slots(a, draft);
	case METHOD_LIST_OBJECTS:
		return answer_list(a, draft);
	case METHOD_GET_OBJECT:
		return answer_object(a, draft);
	case METHOD_GET_PAGEMAP:
		return answer_pagemap(a, draft);
	case METHOD_GET_CAPABILITIES:
		return answer_capabilities(a);
	case METHOD_GET_STATUS:
	case METHOD_GET_INFO:
	case METHOD_GET_INTERFACE_DESCRIPTION:
	case METHOD_MAX:
		break; /* answered in the loop */
	}
	return NULL;
}

static struct reply *make_error(struct answer *a)
{
	struct json_object *copy = NULL;

	/* Others may be told the same at this moment, and json-c counts references without a lock.
	 */
	if (a->result->error_parameters &&
	    json_object_deep_copy(a->result->error_parameters, &copy, NULL) < 0)
		return NULL;
	return answer_reply(a->result->error, copy, a->message_bytes);
}

static struct reply *make_reply(struct answer *a)
{
	struct reply_draft draft = {.fd = -1};
	struct json_object *parameters;
	size_t length = 0;
	char *data;

	if (a->result->error) {
		a->finished = true;
		return make_error(a);
	}
	parameters = make_parameters(a, &draft);
	if (draft.error < 0) {
		json_object_put(parameters);
		closep(&draft.fd);
		a->refused = a->finished = true;
		return answer_reply(ERROR_FAILED, error_of_failure(draft.error), a->message_bytes);
	}
	/* Without `more` there is one reply, which says with which page to go on. */
	a->finished = !draft.goes_on || !a->question->more;
	data = reply_format(NULL, (draft.goes_on || a->told) && a->question->more, parameters,
			    &length);
	if (data && length > a->message_bytes) {
		free(data);
		closep(&draft.fd);
		a->refused = a->finished = true;
		return answer_reply(ERROR_TOO_LARGE, error_with_number("limit", a->message_bytes),
				    a->message_bytes);
	}
	return reply_new(data, length, draft.fd);
}

int answer_make(struct answer *a, size_t n_bytes)
{
	if (answer_is_silent(a))
		a->finished = true;
	while (!a->finished && a->n_bytes < n_bytes) {
		struct reply *r = make_reply(a);

		if (!r)
			return -ENOMEM;
		STAILQ_INSERT_TAIL(&a->replies, r, link);
		a->n_bytes += r->length;
		a->begun = true;
	}
	return 0;
}
