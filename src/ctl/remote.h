/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The source that asks the service, by libshmstate.
 *   remote.c          opening, calling, what is asked about
 *   remote-objects.c  objects, their pages and places
 *   remote-pagemap.c  what a process maps
 *   remote-candidates.c  what is asked of candidates
 *   remote-service.c  the service itself: status, call, capabilities
 *   remote-error.c    what its errors mean
 */

#include <json-c/json.h>

#include "ctl/source-inside.h"
#include "lib/shmstate/shmstate.h"

/* A list of texts, each of them once. */
struct texts {
	char **items;
	size_t n_items, n_allocated;
};

struct remote {
	struct source base;
	struct shmstate *service;
	int path_fd;             /* --path, opened to be passed along; -1: not */
	struct object **objects; /* owned: what was answered points at them */
	size_t n_objects, n_allocated;
	struct texts gaps;   /* why not all could be seen */
	struct texts doubts; /* why not all about the mappings is known */
	uint64_t moved;      /* pages of these */
	bool stable;
	bool incomplete;
};

static inline struct remote *remote_of(struct source *s)
{
	return (struct remote *)s; /* base is its first field */
}

/*
 * Connects. *ret stays as it is if nobody is there, unless that is what was asked for. Returns 0,
 * or an exit code after a message.
 */
int remote_open(const struct options *o, struct source **ret);
/* The same, where nobody else can answer. */
int remote_open_service(const struct options *o, struct shmstate **ret);
int remote_open_needed(const struct options *o, struct source **ret);

/*
 * Calls a method of io.shmstate; parameters are dropped, NULL for none. about: add the selector to
 * them, and pass --path along if the service cannot get at it by itself. Returns 0 and the reply's
 * parameters (to be put), or a negative errno: remote_failed() says what it means.
 */
int remote_ask(struct remote *r, const char *method, struct json_object *parameters, bool about,
	       struct json_object **ret);

/* Is given the parameters of each reply. Returns 0 or a negative errno, which ends it. */
typedef int (*remote_handler)(void *context, struct json_object *reply);

int remote_ask_more(struct remote *r, const char *method, struct json_object *parameters,
		    bool about, remote_handler handler, void *context);

/*
 * Opens --path to be passed along instead, if nothing else was given. False if that cannot be, or
 * was done before.
 */
bool remote_pass_path(struct remote *r);

/* Adds --probe if it was given, and the range if that was. */
void remote_add_probe(struct remote *r, struct json_object *parameters);
void remote_add_range(struct remote *r, struct json_object *parameters, struct page_range range);
/* The same of --settle. */
void remote_add_settle(struct remote *r, struct json_object *parameters);
/* What changes are asked for: since when, and of which states. */
void remote_add_since(struct remote *r, struct json_object *parameters);

/* Likewise --state and --interval. */
void remote_add_states(struct remote *r, struct json_object *parameters);
void remote_add_interval(struct remote *r, struct json_object *parameters);

/* What FindCandidates is called with; UINT64_MAX: give all. */
struct json_object *remote_make_candidates(struct remote *r, struct page_range range,
					   uint64_t max_pages);

/* Keeps an object. It is the source's, whatever comes of it. Returns 0 or a negative errno. */
int remote_keep(struct remote *r, struct object *object);

/* Adds the texts of an array that are not there yet. Returns 0 or -ENOMEM. */
int texts_add(struct texts *t, struct json_object *array);

/*
 * The objects that the options select, without their states. *ret_first: where in r->objects they
 * are, up to its end. Returns 0 or a negative errno.
 */
int remote_find(struct remote *r, size_t *ret_first);

/* Whether there is such an object, and only one. Returns 0 or an exit code. */
int remote_check_object(struct remote *r);

/*
 * The object that the options select, if the output names it: replies about pages do not say what
 * kind of object they are about. Returns 0 or an exit code.
 */
int remote_find_named(struct remote *r, const struct object **ret);

/* Says on one line what went wrong (with SeveralObjects: on more). Returns an exit code. */
int remote_failed(struct remote *r, int error);

int remote_list(struct source *s, bool stability, struct listing *ret);
int remote_classify(struct source *s, struct page_range range, const struct object **ret_object,
		    struct snapshot *ret);
int remote_show(struct source *s, const struct object **ret_object, struct snapshot *ret,
		char **ret_reason);
int remote_locate(struct source *s, struct page_range range, const struct object **ret_object,
		  struct slot_map *ret);
int remote_pagemap(struct source *s, struct page_range range, const struct mapped_sink *sink);
int remote_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error);
int remote_report_pagemap(struct source *s);
int remote_capabilities(struct source *s, struct capabilities *ret);
