/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Is a text JSON, to the letter? json-c takes more, in its strict mode too. No system calls. */

#include <stdbool.h>
#include <stddef.h>

/* One value of RFC 8259, in UTF-8, nested no deeper than depth_max, and white space around it. */
bool json_text_is_valid(const char *text, size_t length, unsigned depth_max);
