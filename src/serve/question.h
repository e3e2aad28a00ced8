/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a call asks for: the parameters of each method, checked. No system calls. */

#include <json-c/json.h>

#include "discover/select.h"
#include "model/state.h"
#include "probe/prober.h"
#include "track/identity.h"
#include "util/parse.h"

enum method {
	METHOD_LIST_OBJECTS,
	METHOD_GET_OBJECT,
	METHOD_SUMMARIZE,
	METHOD_CLASSIFY,
	METHOD_LOCATE,
	METHOD_FIND_CANDIDATES,
	METHOD_GET_REFAULTS,
	METHOD_SUBSCRIBE,
	METHOD_MONITOR,
	METHOD_GET_PAGEMAP,
	METHOD_GET_CAPABILITIES,
	METHOD_GET_STATUS,
	METHOD_GET_INFO, /* from here on: org.varlink.service */
	METHOD_GET_INTERFACE_DESCRIPTION,
	METHOD_MAX,
};

/* "io.shmstate.Classify"; never NULL. */
const char *method_to_string(enum method method);

/* Returns the method, -ENOENT (the interface has no such method), or -ENXIO (no such interface). */
int method_from_string(const char *s);

enum encoding {
	ENCODING_EXTENTS,
	ENCODING_BITMAP,
	ENCODING_FILE_DESCRIPTOR,
};

/* Owns path, name, interface, was and fd. */
struct question {
	enum method method;
	bool more;                /* several replies are welcome */
	struct selector selector; /* path and name are those below */
	char *path;
	char *name;
	bool have_passed;
	int passed; /* index of a descriptor that came with the call */
	int fd;     /* that descriptor, put there by whoever has it; -1: none */
	bool have_range;
	struct page_range range; /* count UINT64_MAX: to the end */
	uint32_t states;         /* bits of enum page_state and of enum view_state */
	enum encoding encoding;
	enum probe_choice probe;
	uint64_t since;  /* number of a generation; 0: all is asked for */
	unsigned settle; /* milliseconds to look again for; 0: do not */
	uint32_t kinds;  /* bits of enum object_kind; 0: all */
	bool summarize;
	bool stability;
	char *interface;
	unsigned age;       /* seconds */
	uint64_t max_pages; /* UINT64_MAX: all */
	bool unproven;      /* also what cannot be shown */
	unsigned batches;   /* of changes, a second; 0: as many as are allowed */
	unsigned heartbeat; /* seconds without a word */
	unsigned interval;  /* milliseconds between two replies */
	/* Of a question that is asked anew, for what was found goes on being told: */
	bool again;
	struct object *was;       /* how the object was seen last, by some who have it */
	struct identity identity; /* that it must have */
};

void question_done(struct question *q);

/*
 * Returns 0 (the caller calls question_done), -ENOMEM, or -EINVAL: *ret_bad is then the name of
 * the parameter that is unknown, missing or not as expected, which the caller frees.
 */
int question_parse(enum method method, struct json_object *parameters, struct question *ret,
		   char **ret_bad);

/* These two are answered again and again, and need `more`. */
bool method_goes_on(enum method method);

/* Whatever range is asked about, the whole object is looked at. */
bool method_wants_whole(enum method method);

/*
 * A text that two questions share if one look at the object answers both, but for a passed
 * descriptor. The caller frees it; NULL: out of memory.
 */
char *question_key(const struct question *q);
