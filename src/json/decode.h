/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The model back from JSON as encode.h and the service write it. Who sent it is not trusted: what
 * does not fit is -EBADMSG, and then (or with -ENOMEM) ret is as it was.
 */

#include <json-c/json.h>

#include "model/delta.h"
#include "model/object.h"
#include "model/slot_map.h"
#include "model/snapshot.h"

/* An object, with its holders and mappers if they are told. The caller frees it. */
int object_from_json(struct json_object *j, struct object **ret);

/*
 * What is known of an answer as a whole; its map is empty. `verified`, `noWalk`, interfaces and
 * reasons are known by their words, and left out if they are not of this version.
 */
int snapshot_from_json(struct json_object *j, uint64_t page_size, struct snapshot *ret);

/* A state that is null: CHANGE_BEYOND. */
int change_from_json(struct json_object *j, struct change *ret);

/*
 * Fills in what a reply of Locate tells of the whole, and adds its extents: one reply after the
 * other. The map is the caller's whatever comes of it.
 */
int slot_map_add_json(struct slot_map *map, struct json_object *j);
