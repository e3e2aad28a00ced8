/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls and replies of the varlink protocol, as JSON. No system calls. */

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* Owns what it points to. */
struct call {
	struct json_object *message;
	const char *method;             /* in message */
	struct json_object *parameters; /* in message; NULL: none */
	bool more;
	bool oneway;
	bool upgrade;
};

void call_done(struct call *c);

/*
 * Takes a message apart. Returns 0 (the caller calls call_done), -EBADMSG if that is no call, after
 * which the connection is to be closed, or -ENOMEM.
 */
int call_parse(const char *text, size_t length, struct call *ret);

/*
 * The text of a reply, its NUL included in *ret_length; the caller frees it. Takes parameters over;
 * NULL: none. error: the name of one, or NULL. continues: more replies follow. NULL: out of memory.
 */
char *reply_format(const char *error, bool continues, struct json_object *parameters,
		   size_t *ret_length);
