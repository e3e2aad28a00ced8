/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bytes to messages: each ends with a NUL, and may come in any number of parts. No system calls. */

#include <stdbool.h>
#include <stddef.h>

/* Owns data. All zeros: empty. */
struct frame {
	char *data; /* the part of a message that has come, without the NUL */
	size_t length;
	size_t n_allocated;
};

void frame_done(struct frame *f);

/*
 * How many of the n bytes belong to the message that is being put together, its NUL included; in
 * *ret_complete whether that ends it.
 */
size_t frame_part(const char *bytes, size_t n, bool *ret_complete);

/* How many messages end in these bytes. */
size_t frame_count(const char *bytes, size_t n);

/*
 * Adds what frame_part() told of. Returns 1 if the message is complete (data is then a string that
 * ends at length, or holds a NUL nowhere else), 0 if not, -EMSGSIZE if it is longer than limit, or
 * -ENOMEM.
 */
int frame_append(struct frame *f, const char *bytes, size_t n, size_t limit);
