/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "delta-steps.h"

#define WRONG_SHOWN 30
#define SECONDS_MAX 600 /* after which a part is taken to hang */

struct tally tally;

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("delta-steps: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

void wrong(const char *format, ...)
{
	va_list arguments;

	if (atomic_fetch_add(&tally.wrong, 1) >= WRONG_SHOWN)
		return;
	va_start(arguments, format);
	fputs("WRONG: ", stdout);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
}

void heading(const char *format, ...)
{
	va_list arguments;

	alarm(SECONDS_MAX);
	va_start(arguments, format);
	fputs("-- ", stdout);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool view_equal(const struct view *a, const struct view *b)
{
	return a->pages == b->pages && memcmp(a->state, b->state, a->pages) == 0;
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n > 1000000000)
		die("%s is no number that will do", text);
	return n;
}

static void print_sum(void)
{
	printf("== deltas: %lu steps, %lu deltas, %lu pages compared, %lu changed, %lu wrong "
	       "(%lu gone, %lu moved by others, %lu loose)\n",
	       atomic_load(&tally.steps), atomic_load(&tally.deltas), atomic_load(&tally.pages),
	       atomic_load(&tally.changed), atomic_load(&tally.wrong), atomic_load(&tally.gone),
	       atomic_load(&tally.moved), atomic_load(&tally.loose));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"steps", required_argument, NULL, 's'},
						{"seconds", required_argument, NULL, 't'},
						{"seed", required_argument, NULL, 'r'},
						{"group", required_argument, NULL, 'g'},
						{0}};
	unsigned long steps = 5000, seconds = 4, seed = 6;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (c == 's')
			steps = number(optarg);
		else if (c == 't')
			seconds = number(optarg);
		else if (c == 'r')
			seed = number(optarg);
		else if (c == 'g')
			memory_group = optarg;
		else
			return 2;
	if (optind != argc - 1)
		die("Usage: delta-steps [OPTION...] SHMSTATED");
	service_program = argv[optind];
	setvbuf(stdout, NULL, _IOLBF, 0);
	random_steps(steps - steps / 3, false, seed);
	random_steps(steps / 3, true, seed + 1);
	cases();
	settling();
	parallel_clients((unsigned)seconds, seed + 2);
	print_sum();
	return atomic_load(&tally.wrong) != 0 || atomic_load(&tally.steps) < steps;
}
