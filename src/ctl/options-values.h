/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The values of options. Each returns 0, or an exit code after a message, if nothing else is said.
 */

#include "ctl/ctl.h"

int parse_kinds(const char *arg, uint32_t *ret);
int parse_states(const char *arg, struct options *o);
/* Bitmap and raw are formats of one verb each. */
int parse_format(const char *arg, bool has_bitmap, bool has_raw, struct options *o);
int parse_probe(const char *arg, struct options *o);
int parse_settle(const char *arg, struct options *o);
/* The word behind the verb's object; NULL: there is none. */
int parse_generation(const char *arg, struct options *o);
int parse_age(const char *arg, struct options *o);
int parse_interval(const char *arg, struct options *o);
int parse_by(const char *arg, struct options *o);
int parse_json(const char *arg, struct options *o);

/* Which of n words it is; those that are NULL do not count. Or -EINVAL after a message. */
int parse_word(const char *option, const char *arg, const char *const words[], size_t n);

/* A number of bytes, at least min. */
int parse_amount(const char *option, const char *arg, uint64_t min, uint64_t *ret);
