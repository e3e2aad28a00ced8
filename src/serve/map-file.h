/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A snapshot as <shmstate/map.h> lays it out. */

#include <sys/uio.h>

#include "serve/result.h"

/* Returns a sealed memfd, which the caller closes, or a negative errno. */
int map_file_make(const struct result *r, page_state_mask states);

/* Bits of enum shmstate_map_flag, if these states were asked for. */
uint32_t map_file_flags(const struct result *r, page_state_mask states);

/* A sealed memfd that holds these n pieces, one after the other; they are altered. */
int map_file_seal(const char *name, struct iovec *pieces, int n);
