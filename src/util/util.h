/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The few macros that every file uses.
 *
 * The error rule of the whole project stands here and only here: a function that can fail returns
 * a negative errno value, and then leaves its ret_* arguments as they were. Library code (all but
 * src/ctl) prints nothing.
 */

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

/* Hands a resource over: the variable no longer owns it. */
#define TAKE_PTR(p)                                  \
	({                                           \
		__typeof__(p) *taken_from_ = &(p);   \
		__typeof__(p) taken_ = *taken_from_; \
		*taken_from_ = NULL;                 \
		taken_;                              \
	})
#define TAKE_FD(fd)                        \
	({                                 \
		int *taken_from_ = &(fd);  \
		int taken_ = *taken_from_; \
		*taken_from_ = -1;         \
		taken_;                    \
	})
