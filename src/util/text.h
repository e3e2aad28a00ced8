/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words and numbers for people. */

#include <stdbool.h>
#include <stdint.h>

/*
 * A name with everything that is not printable UTF-8 as \xHH, so that a name that somebody chose
 * cannot move the cursor or break a line. The caller frees it; NULL if memory is short.
 */
char *text_escape(const char *s);
/* Back again. A backslash that starts no \xHH stands for itself. Likewise. */
char *text_unescape(const char *s);
/* The same, but only of what is as text_escape() makes it: else -EINVAL. It fits where s does. */
int text_unescape_strictly(const char *s, char *to);

#define TEXT_SIZE_MAX 24

/* 1536 -> "1.5K"; exact bytes if bytes is set. buf: TEXT_SIZE_MAX bytes. */
const char *text_size(uint64_t bytes, bool exact, char *buf);

/* What a negative errno of our library says, for a message. */
const char *text_error(int error);
/* Why there is no walk. */
const char *text_walker_error(int error);
