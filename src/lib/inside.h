/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside of the client library. */

#include <json-c/json.h>

#include "lib/shmstate/shmstate.h"
#include "lib/wire.h"

struct shmstate {
	struct wire wire;
	unsigned settle;   /* ms; 0: not */
	bool asked;        /* at least once */
	bool broken;       /* by what went wrong before */
	char *reply;       /* parameters of the last one */
	char *error;       /* NULL: it was none */
	int fds[WIRE_FDS]; /* that came with it; -1: taken */
	size_t n_fds;
};

/* The same as shmstate_call(), with the parameters parsed: both are the caller's to put. */
int shmstate_call_json(struct shmstate *s, const char *method, struct json_object *parameters,
		       const int *fds, size_t n_fds, struct json_object **ret);

/* A JSON object from text of this length, or NULL. Nothing may stand behind it. */
struct json_object *json_object_from_text(const char *text, size_t length);
