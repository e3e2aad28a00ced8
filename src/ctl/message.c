/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/ctl.h"

static void complain(const char *format, va_list ap) _printf_(1, 0);

static void complain(const char *format, va_list ap)
{
	fflush(stdout);
	fputs("shmstatectl: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
}

#define DEFINE_COMPLAINT(name, code)      \
	int name(const char *format, ...) \
	{                                 \
		va_list ap;               \
                                          \
		va_start(ap, format);     \
		complain(format, ap);     \
		va_end(ap);               \
		return code;              \
	}

DEFINE_COMPLAINT(failed, EXIT_FAILED)
DEFINE_COMPLAINT(usage_error, EXIT_USAGE)
DEFINE_COMPLAINT(incomplete, EXIT_INCOMPLETE)

void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(format, ap);
	va_end(ap);
}
