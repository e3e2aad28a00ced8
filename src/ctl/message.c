/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/progress.h"
#include "util/text.h"

static void complain(const char *format, va_list ap) _printf_(1, 0);

/* One line, whatever was typed: what it quotes is escaped. */
static void complain(const char *format, va_list ap)
{
	_cleanup_free_ char *line = NULL, *escaped = NULL;

	if (vasprintf(&line, format, ap) < 0)
		line = NULL;
	escaped = line ? text_escape(line) : NULL;
	progress_stop();
	fflush(stdout);
	fprintf(stderr, "shmstatectl: %s\n", escaped ? escaped : format);
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

int out_of_memory(void)
{
	return failed("out of memory");
}

void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(format, ap);
	va_end(ap);
}
