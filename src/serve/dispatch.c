/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "json/encode.h"
#include "serve/description.h"
#include "serve/discard.h"
#include "serve/errors.h"
#include "serve/follow.h"
#include "serve/message.h"
#include "serve/server-inside.h"
#include "util/util.h"

static struct server *server_of(const struct connection *c)
{
	return ((struct member *)c->context)->server;
}

void dispatch_answered(struct connection *c, bool error)
{
	struct server *s = server_of(c);

	s->counters.calls++;
	s->counters.errors += error;
}

/* Answers on the spot. Takes parameters over. */
static void answer_now(struct connection *c, const char *error, struct json_object *parameters)
{
	dispatch_answered(c, error);
	if (connection_send_one(c, answer_reply(error, parameters, c->limits->message_bytes)))
		connection_next(c);
}

static struct json_object *make_info(void)
{
	struct json_object *j = json_object_new_object(), *interfaces = json_object_new_array();

	json_object_array_add(interfaces, json_object_new_string("io.shmstate"));
	json_object_array_add(interfaces, json_object_new_string("org.varlink.service"));
	json_object_object_add(j, "vendor", json_object_new_string("shmstate"));
	json_object_object_add(j, "product", json_object_new_string("shmstated"));
	json_object_object_add(j, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(j, "url", json_object_new_string(""));
	json_object_object_add(j, "interfaces", interfaces);
	return j;
}

static struct json_object *make_counters(const struct server *s)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "connections", json_number(s->counters.connections));
	json_object_object_add(j, "refusedConnections", json_number(s->counters.refused));
	json_object_object_add(j, "calls", json_number(s->counters.calls));
	json_object_object_add(j, "errors", json_number(s->counters.errors));
	json_object_object_add(j, "scans", json_number(s->requests.n_scans));
	json_object_object_add(j, "sharedScans", json_number(s->requests.n_shared));
	json_object_object_add(j, "cancelledScans", json_number(s->requests.n_cancelled));
	return j;
}

static struct json_object *make_history(const struct server *s)
{
	struct history_usage usage = history_usage(s->requests.history);
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "objects", json_number(usage.objects));
	json_object_object_add(j, "generations", json_number(usage.generations));
	json_object_object_add(j, "bytes", json_number(usage.bytes));
	json_object_object_add(j, "droppedGenerations", json_number(usage.dropped));
	json_object_object_add(j, "followedObjects",
			       json_number(followers_count(s->requests.followers)));
	return j;
}

static struct json_object *make_watching(const struct server *s)
{
	const struct watches *w = s->requests.watches;
	struct json_object *j = json_object_new_object();
	const char *level = events_level_to_string(watches_level(w));

	json_object_object_add(j, "calls",
			       json_number(s->requests.n_standing[0] + s->requests.n_standing[1]));
	json_object_object_add(j, "eventLevel", json_object_new_string(level));
	json_object_object_add(j, "attached", json_object_new_boolean(watches_attached(w)));
	json_object_object_add(j, "watches", json_number(watches_count(w)));
	json_object_object_add(j, "lostEvents", json_number(watches_lost(w)));
	return j;
}

static struct json_object *make_limits(const struct config *c)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "messageBytes", json_number(c->message_bytes));
	json_object_object_add(j, "pipelinedCalls", json_number(c->pipelined_calls));
	json_object_object_add(j, "queuedBytes", json_number(c->queued_bytes));
	json_object_object_add(j, "queuedScans", json_number(c->queued_scans));
	json_object_object_add(j, "heldBytes", json_number(LEDGER_BYTES_MAX));
	json_object_object_add(j, "historyBytes", json_number(c->history_bytes));
	json_object_object_add(j, "subscribeBatches", json_number(c->subscribe_batches));
	json_object_object_add(j, "connections", json_number(c->connections));
	json_object_object_add(j, "connectionsPerUser", json_number(c->connections_per_user));
	json_object_object_add(j, "scanSeconds", json_number(c->scan_seconds));
	json_object_object_add(j, "sendSeconds", json_number(c->send_seconds));
	json_object_object_add(j, "idleSeconds", json_number(c->idle_seconds));
	return j;
}

static struct json_object *make_status(const struct server *s)
{
	struct json_object *j = json_object_new_object();
	const char *probe = kcaps_has(s->caps, KCAP_WALK) ? "walk" : "portable";
	struct utsname name;

	uname(&name);
	json_object_object_add(j, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(j, "pid", json_object_new_int(getpid()));
	json_object_object_add(j, "uptimeSeconds",
			       json_number((monotonic_ns() - s->started) / 1000000000));
	json_object_object_add(j, "kernel", json_object_new_string(name.release));
	json_object_object_add(j, "probe", json_object_new_string(probe));
	json_object_object_add(j, "connections", json_number(s->n_members));
	json_object_object_add(j, "scans", json_number(pool_count(s->requests.pool)));
	json_object_object_add(j, "workers", json_number(pool_workers(s->requests.pool)));
	json_object_object_add(j, "counters", make_counters(s));
	json_object_object_add(j, "history", make_history(s));
	json_object_object_add(j, "watching", make_watching(s));
	json_object_object_add(j, "limits", make_limits(&s->config));
	return j;
}

static void describe(struct connection *c, const struct question *q)
{
	const char *text = NULL;

	if (strcmp(q->interface, "io.shmstate") == 0)
		text = description_own;
	else if (strcmp(q->interface, "org.varlink.service") == 0)
		text = description_general;
	if (text)
		answer_now(c, NULL, error_with_text("description", text));
	else
		answer_now(c, ERROR_INTERFACE_NOT_FOUND,
			   error_with_name("interface", q->interface));
}

/* What takes a look at something. The question is taken over. */
static void ask(struct connection *c, struct question *q)
{
	struct server *s = server_of(c);
	struct busy busy;
	int r = request_new(&s->requests, c, q, &busy);

	if (r == -EBUSY)
		answer_now(c, ERROR_TOO_BUSY, error_busy(busy));
	else if (r < 0)
		connection_end(c, "memory was short");
}

static void answer_question(struct connection *c, struct question *q)
{
	switch (q->method) {
	case METHOD_GET_STATUS:
		answer_now(c, NULL, make_status(server_of(c)));
		break;
	case METHOD_GET_INFO:
		answer_now(c, NULL, make_info());
		break;
	case METHOD_GET_INTERFACE_DESCRIPTION:
		describe(c, q);
		break;
	case METHOD_LIST_OBJECTS:
	case METHOD_GET_OBJECT:
	case METHOD_SUMMARIZE:
	case METHOD_CLASSIFY:
	case METHOD_LOCATE:
	case METHOD_FIND_CANDIDATES:
	case METHOD_GET_REFAULTS:
	case METHOD_SUBSCRIBE:
	case METHOD_MONITOR:
	case METHOD_GET_PAGEMAP:
	case METHOD_GET_CAPABILITIES:
	case METHOD_MAX:
		ask(c, q);
		return;
	}
	question_done(q);
}

/* "io.example.Method" is of the interface "io.example". */
static void refuse_method(struct connection *c, const char *method, int error)
{
	const char *dot = strrchr(method, '.');
	_cleanup_free_ char *interface =
		strndup(method, dot ? (size_t)(dot - method) : strlen(method));

	if (error == -ENOENT)
		answer_now(c, ERROR_METHOD_NOT_FOUND, error_with_name("method", method));
	else
		answer_now(c, ERROR_INTERFACE_NOT_FOUND,
			   error_with_name("interface", interface ? interface : ""));
}

/* Gives the question the descriptor that it names. */
static int take_descriptor(struct question *q, int *fds, size_t n_fds)
{
	if (!q->have_passed)
		return 0;
	if ((size_t)q->passed >= n_fds)
		return -EINVAL;
	q->fd = TAKE_FD(fds[q->passed]);
	return 0;
}

static void dispatch_call(struct connection *c, const struct call *call, int *fds, size_t n_fds)
{
	_cleanup_free_ char *bad = NULL;
	int r, method = method_from_string(call->method);
	struct question q = {.fd = -1};

	if (method < 0) {
		refuse_method(c, call->method, method);
		return;
	}
	if (call->upgrade) {
		answer_now(c, ERROR_METHOD_NOT_IMPLEMENTED,
			   error_with_name("method", call->method));
		return;
	}
	if (method_goes_on((enum method)method) && !call->more) {
		answer_now(c, ERROR_EXPECTED_MORE, NULL);
		return;
	}
	r = question_parse((enum method)method, call->parameters, &q, &bad);
	if (r == 0 && take_descriptor(&q, fds, n_fds) < 0) {
		question_done(&q);
		bad = strdup("passedFileDescriptor");
		r = -EINVAL;
	}
	if (r == -EINVAL && bad) {
		answer_now(c, ERROR_INVALID_PARAMETER, error_with_name("parameter", bad));
	} else if (r < 0) {
		connection_end(c, "memory was short");
	} else {
		q.more = call->more;
		answer_question(c, &q);
	}
}

static void dispatch(struct connection *c, const char *text, size_t length, int *fds, size_t n_fds)
{
	struct server *s = server_of(c);
	struct call call;
	int r = call_parse(text, length, &call);

	if (r < 0) {
		connection_end(c, r == -EBADMSG ? "sent what is no call" : "memory was short");
		return;
	}
	/* Nobody waits for an answer, and to ask changes nothing. */
	if (call.oneway) {
		dispatch_answered(c, false);
		connection_next(c);
	} else if (s->stopping) {
		answer_now(c, ERROR_STOPPING, NULL);
	} else {
		dispatch_call(c, &call, fds, n_fds);
	}
	call_done(&call);
}

void dispatch_message(struct connection *c, const char *text, size_t length, int *fds, size_t n_fds)
{
	dispatch(c, text, length, fds, n_fds);
	for (size_t i = 0; i < n_fds; i++)
		discard(fds[i]);
}
