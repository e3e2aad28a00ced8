/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A snapshot as <shmstate/map.h> lays it out. */

#include "model/snapshot.h"

/* Returns a sealed memfd, which the caller closes, or a negative errno. */
int map_file_make(const struct snapshot *s, bool incomplete);
