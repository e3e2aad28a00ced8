/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What objects and snapshots look like in JSON, as shmstatectl prints them and as the service sends
 * them. Fields are camelCase, states as they are named. What is returned is the caller's.
 */

#include <json-c/json.h>

#include "model/object.h"
#include "model/snapshot.h"

/* int64, as JSON has no larger numbers here. */
struct json_object *json_number(uint64_t n);

/* An array of the names of states. */
struct json_object *json_of_states(page_state_mask states);

/* object (the id), kind, name, deleted, size, pageSize, swappable. */
struct json_object *json_of_object(const struct object *o);

/* Adds size, range, probe, interfaces, noWalk, verified, stable, movedPages, incomplete, reasons,
 * counts, generation. */
void json_add_snapshot(struct json_object *to, const struct snapshot *s, page_state_mask asked);

/*
 * Arrays of n of the processes that hold, and that map, the object, from the first-th on.
 * descriptor: what the field with the descriptor's number is called.
 */
struct json_object *json_of_holders(const struct object *o, size_t first, size_t n,
				    const char *descriptor);
struct json_object *json_of_mappers(const struct object *o, size_t first, size_t n);
