/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "ctl/remote.h"
#include "json/encode.h"
#include "util/array.h"
#include "util/text.h"

#define INTERFACE "io.shmstate."

int remote_keep(struct remote *r, struct object *object)
{
	if (ARRAY_RESERVE(&r->objects, &r->n_allocated, r->n_objects) < 0) {
		object_free(object);
		return -ENOMEM;
	}
	r->objects[r->n_objects++] = object;
	return 0;
}

static bool texts_have(const struct texts *t, const char *text)
{
	for (size_t i = 0; i < t->n_items; i++)
		if (strcmp(t->items[i], text) == 0)
			return true;
	return false;
}

int texts_add(struct texts *t, struct json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(array, i));

		if (!text || texts_have(t, text))
			continue;
		if (ARRAY_RESERVE(&t->items, &t->n_allocated, t->n_items) < 0)
			return -ENOMEM;
		t->items[t->n_items] = strdup(text);
		if (!t->items[t->n_items])
			return -ENOMEM;
		t->n_items++;
	}
	return 0;
}

static void texts_done(struct texts *t)
{
	for (size_t i = 0; i < t->n_items; i++)
		free(t->items[i]);
	free(t->items);
}

void remote_add_probe(struct remote *r, struct json_object *parameters)
{
	enum probe_choice probe = r->base.options->probe;

	if (probe != PROBE_AUTO)
		json_object_object_add(parameters, "probe",
				       json_object_new_string(probe_choice_to_string(probe)));
}

void remote_add_range(struct remote *r, struct json_object *parameters, struct page_range range)
{
	struct json_object *j;

	if (!r->base.options->range && range.count == ALL_PAGES.count)
		return;
	j = json_object_new_object();
	json_object_object_add(j, "first", json_number(range.first));
	json_object_object_add(j, "count", json_number(range.count));
	json_object_object_add(parameters, "range", j);
}

void remote_add_settle(struct remote *r, struct json_object *parameters)
{
	unsigned settle = r->base.options->settle;

	if (settle > 0)
		json_object_object_add(parameters, "settleMilliseconds", json_number(settle));
}

void remote_add_since(struct remote *r, struct json_object *parameters)
{
	const struct options *o = r->base.options;

	json_object_object_add(parameters, "since", json_number(o->since));
	if (o->have_states)
		json_object_object_add(parameters, "states", json_of_states(o->states));
}

void remote_add_states(struct remote *r, struct json_object *parameters)
{
	const struct options *o = r->base.options;
	struct json_object *states;

	if (!o->have_states)
		return;
	states = json_object_new_array();
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (o->states & PAGE_STATE_BIT(i))
			json_object_array_add(states, json_object_new_string(page_state_to_string(
							      (enum page_state)i)));
	json_object_object_add(parameters, "states", states);
}

void remote_add_interval(struct remote *r, struct json_object *parameters)
{
	unsigned ms = r->base.options->interval;

	if (ms > 0)
		json_object_object_add(parameters, "intervalMilliseconds", json_number(ms));
}

static void add_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, text ? json_object_new_string(text) : NULL);
}

/* The service stands elsewhere. */
static char *absolute_path(const char *path)
{
	_cleanup_free_ char *folder = NULL;
	char *absolute;

	if (path[0] == '/')
		return strdup(path);
	folder = getcwd(NULL, 0);
	return folder && asprintf(&absolute, "%s/%s", folder, path) >= 0 ? absolute : NULL;
}

/* NULL if all objects are meant. */
static struct json_object *json_of_selector(const struct remote *r)
{
	const struct selector *s = &r->base.options->selector;
	_cleanup_free_ char *path = s->path ? absolute_path(s->path) : NULL;
	_cleanup_free_ char *name = s->name ? text_escape(s->name) : NULL;
	struct json_object *j;
	char id[OBJECT_ID_MAX];

	if (selector_is_empty(s))
		return NULL;
	j = json_object_new_object();
	if (r->path_fd >= 0) {
		json_object_object_add(j, "passedFileDescriptor", json_number(0));
		return j;
	}
	if (s->have_id)
		add_text(j, "id", object_id_format(&s->id, true, id));
	if (s->pid > 0)
		json_object_object_add(j, "pid", json_number((uint64_t)s->pid));
	if (s->have_fd)
		json_object_object_add(j, "fileDescriptor", json_number((uint64_t)s->fd));
	if (s->have_address)
		json_object_object_add(j, "address", json_number(s->address));
	if (s->path)
		add_text(j, "path", path);
	if (s->name)
		add_text(j, "name", name);
	return j;
}

/* Errors that a descriptor of ours may help against: it shows that we may write the file, and is
 * good where paths lead elsewhere. */
static bool descriptor_may_help(const char *error)
{
	return strcmp(error, INTERFACE "NotPermitted") == 0 ||
	       strcmp(error, INTERFACE "NoSuchObject") == 0 ||
	       strcmp(error, INTERFACE "NotSharedMemory") == 0;
}

bool remote_pass_path(struct remote *r)
{
	const struct selector *s = &r->base.options->selector;

	if (!s->path || r->path_fd >= 0 || s->have_id || s->pid > 0 || s->name)
		return false;
	/* Never wait: neither for a lease to be given back nor for another end. */
	r->path_fd = open(s->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return r->path_fd >= 0;
}

/* What was sent, and what becomes of the replies. */
struct exchange {
	struct remote *remote;
	const char *method;
	struct json_object *parameters;
	bool about;
	remote_handler handler; /* NULL: one reply is all */
	void *context;
	int error;
};

static int parse(const char *text, struct json_object **ret)
{
	*ret = json_tokener_parse(text);
	return *ret ? 0 : -ENOMEM;
}

static int handle(void *context, struct shmstate *s, const char *parameters, int continues)
{
	struct exchange *e = context;
	struct json_object *j;

	(void)s;
	(void)continues;
	e->error = parse(parameters, &j);
	if (e->error < 0)
		return e->error;
	e->error = e->handler(e->context, j);
	json_object_put(j);
	return e->error;
}

static int send_once(struct exchange *e, struct json_object **ret)
{
	struct remote *r = e->remote;
	char method[64];
	const char *reply, *text;
	size_t n_fds = e->about && r->path_fd >= 0;
	int error;

	snprintf(method, sizeof(method), INTERFACE "%s", e->method);
	if (e->about)
		json_object_object_add(e->parameters, "selector", json_of_selector(r));
	text = json_object_to_json_string_ext(e->parameters, JSON_C_TO_STRING_PLAIN);
	if (e->handler)
		return shmstate_call_more(r->service, method, text, &r->path_fd, n_fds, handle, e);
	error = shmstate_call(r->service, method, text, &r->path_fd, n_fds, &reply);
	return error < 0 ? error : parse(reply, ret);
}

static int ask(struct exchange *e, struct json_object **ret)
{
	int error;

	if (!e->parameters)
		e->parameters = json_object_new_object();
	error = send_once(e, ret);
	if (error == -EREMOTEIO && e->about &&
	    descriptor_may_help(shmstate_error_name(e->remote->service)) &&
	    remote_pass_path(e->remote))
		error = send_once(e, ret);
	json_object_put(e->parameters);
	return error;
}

int remote_ask(struct remote *r, const char *method, struct json_object *parameters, bool about,
	       struct json_object **ret)
{
	struct exchange e = {
		.remote = r, .method = method, .parameters = parameters, .about = about};

	return ask(&e, ret);
}

int remote_ask_more(struct remote *r, const char *method, struct json_object *parameters,
		    bool about, remote_handler handler, void *context)
{
	struct exchange e = {.remote = r,
			     .method = method,
			     .parameters = parameters,
			     .about = about,
			     .handler = handler,
			     .context = context};

	return ask(&e, NULL);
}

static int remote_report_gaps(struct source *s)
{
	const struct texts *gaps = &remote_of(s)->gaps;

	for (size_t i = 0; i < gaps->n_items; i++)
		incomplete("%s", gaps->items[i]);
	return gaps->n_items > 0 ? EXIT_INCOMPLETE : 0;
}

static void remote_done(struct source *s)
{
	struct remote *r = remote_of(s);

	for (size_t i = 0; i < r->n_objects; i++)
		object_free(r->objects[i]);
	free(r->objects);
	texts_done(&r->gaps);
	texts_done(&r->doubts);
	closep(&r->path_fd);
	shmstate_close(r->service);
	free(r);
}

static const struct source_ops remote_ops = {
	.list = remote_list,
	.classify = remote_classify,
	.show = remote_show,
	.locate = remote_locate,
	.pagemap = remote_pagemap,
	.words = remote_words,
	.report_pagemap = remote_report_pagemap,
	.report_gaps = remote_report_gaps,
	.capabilities = remote_capabilities,
	.done = remote_done,
};

static const char *connect_error(int error)
{
	if (error == -EINVAL)
		return "expected a path, unix:PATH or unix:@NAME";
	return error == -ECONNREFUSED ? "nobody listens there" : strerror(-error);
}

int remote_open_service(const struct options *o, struct shmstate **ret)
{
	int r = shmstate_open(o->socket, ret);

	if (r >= 0)
		return 0;
	if (o->socket)
		return failed("--socket=%s: %s", o->socket, connect_error(r));
	return failed("the service cannot be reached: %s", connect_error(r));
}

/* Takes the connection over. */
static int remote_new(const struct options *o, struct shmstate *service, struct source **ret)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (!r) {
		shmstate_close(service);
		return out_of_memory();
	}
	*r = (struct remote){
		.base = {.ops = &remote_ops, .options = o}, .service = service, .path_fd = -1};
	*ret = &r->base;
	return 0;
}

int remote_open(const struct options *o, struct source **ret)
{
	struct shmstate *service;

	/* Without --socket it need not be there. */
	if (!o->socket && shmstate_open(NULL, &service) < 0)
		return 0;
	if (o->socket && remote_open_service(o, &service) != 0)
		return EXIT_FAILED;
	return remote_new(o, service, ret);
}

int remote_open_needed(const struct options *o, struct source **ret)
{
	struct shmstate *service;
	int r = remote_open_service(o, &service);

	return r != 0 ? r : remote_new(o, service, ret);
}
