// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * shmfactory - makes shared memory whose pages are in known states, and obeys commands about it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shmfactory.h"

enum {
	DEFAULT_PAGES = 32768,
};

static const struct scenario *const tables[] = {
	basic_scenarios, size_scenarios,    cache_scenarios,  process_scenarios,
	large_scenarios, special_scenarios, poison_scenarios,
};

static void usage(void)
{
	puts("Usage: shmfactory SCENARIO [--pages N] [--expect FILE]\n"
	     "       shmfactory --list\n"
	     "\n"
	     "Makes an object, writes what is expected of its pages to FILE, prints a line that\n"
	     "begins with \"ready\", and obeys commands, one a line:\n"
	     "  counters      what a query must not change\n"
	     "  values FILE   which pages are swap entries, from smaps\n"
	     "  touch FILE    what a page was, told by reading it (changes the object)\n"
	     "  quit\n"
	     "Exit status: 0, 1 failed, 2 bad usage, 77 this machine cannot.");
}

static void list(void)
{
	static const struct {
		unsigned need;
		const char *name;
	} needs[] = {
		{NEEDS_LOOP, "loop"},
		{NEEDS_ASYNC, "async"},
		{NEEDS_SWAP, "swap"},
	};
	const struct scenario *s;
	size_t i, n;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (s = tables[i]; s->name; s++) {
			for (n = 0; n < 3 && !(s->needs & needs[n].need); n++)
				;
			printf("%s\t%s\t%s\n", s->name, n < 3 ? needs[n].name : "none", s->what);
		}
}

static const struct scenario *find(const char *name)
{
	const struct scenario *s;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (s = tables[i]; s->name; s++)
			if (!strcmp(s->name, name))
				return s;
	return NULL;
}

/* Pages in the batches of a processor that we left would escape being paged out. */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void check_needs(const struct factory *f)
{
	unsigned needs = f->scenario->needs;

	if (needs && f->swap == SWAP_NONE)
		cannot("%s needs a swap, and none is on", f->scenario->name);
	if ((needs & NEEDS_ASYNC) && f->swap == SWAP_SYNC)
		cannot("%s needs a swap on a disk or in a file; zram leaves no swap cache",
		       f->scenario->name);
	if ((needs & NEEDS_LOOP) && !f->swap_is_loop)
		cannot("%s needs the swap of highest priority to be a loop device, alone",
		       f->scenario->name);
}

static void ready(struct factory *f)
{
	const struct object *o = &f->object;

	printf("ready pid=%d fd=%d address=%#lx pages=%" PRIu64
	       " pagesize=%zu id=%02x:%02x:%" PRIu64 " kind=%s swap=%s class=%s byid=%d%s%s%s\n",
	       f->reported_pid, o->fd, (unsigned long)o->address, o->pages, f->page_size, o->major,
	       o->minor, o->inode, kind_name(o->kind), f->swap_name,
	       f->swap == SWAP_NONE    ? "none"
	       : f->swap == SWAP_SYNC  ? "sync"
	       : f->swap == SWAP_ASYNC ? "async"
				       : "mixed",
	       f->by_id, f->note, f->path[0] ? " path=" : "", f->path);
	fflush(stdout);
}

/* Returns false when there is nothing more to do. */
static bool obey(struct factory *f, char *line)
{
	char *word = strtok(line, " \n"), *path = strtok(NULL, "\n");

	if (!word)
		return true;
	if (!strcmp(word, "quit")) {
		puts("bye");
		return false;
	}
	if (!strcmp(word, "counters")) {
		counters_print(f);
	} else if (!strcmp(word, "values") && path) {
		oracle_values(f, path);
		puts("values");
	} else if (!strcmp(word, "touch") && path) {
		oracle_touch(f, path);
		puts("touch");
	} else {
		printf("error unknown command %s\n", word);
	}
	object_close_own_fd(f);
	fflush(stdout);
	return true;
}

static int work(struct factory *f, const char *expect_path)
{
	char line[4096];

	f->page_size = sysconf(_SC_PAGESIZE);
	f->reported_pid = getpid();
	f->by_id = true;
	f->object.fd = f->object.own_fd = -1;
	swap_find(f);
	check_needs(f);
	stay_on_one_cpu();
	/* no readahead from swap but where a scenario wants it */
	set_knob("/proc/sys/vm/page-cluster", "0");
	group_make(f);

	f->scenario->make(f);
	object_close_own_fd(f);
	if (expect_path)
		expect_write(&f->object.expect, expect_path);
	ready(f);
	while (fgets(line, sizeof(line), stdin) && obey(f, line))
		;
	return EXIT_SUCCESS;
}

static uint64_t parse_pages(const char *text)
{
	char *end;
	uint64_t pages;

	errno = 0;
	pages = strtoull(text, &end, 10);
	if (errno || end == text || *end || pages < 512 || pages > 1 << 22) {
		fprintf(stderr, "shmfactory: %s is no number of pages (512 to 4194304)\n", text);
		exit(2);
	}
	return pages;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"pages", required_argument, NULL, 'p'},
		{"expect", required_argument, NULL, 'e'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct factory f = {.pages = DEFAULT_PAGES};
	const char *expect_path = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		switch (option) {
		case 'p':
			f.pages = parse_pages(optarg);
			break;
		case 'e':
			expect_path = optarg;
			break;
		case 'l':
			list();
			return EXIT_SUCCESS;
		case 'h':
			usage();
			return EXIT_SUCCESS;
		default:
			return 2;
		}
	f.scenario = optind == argc - 1 ? find(argv[optind]) : NULL;
	if (!f.scenario) {
		fputs("shmfactory: say one scenario (shmfactory --list)\n", stderr);
		return 2;
	}
	if (geteuid())
		cannot("only root can do this");
	if (f.scenario->divide)
		f.pages /= f.scenario->divide;
	guardian_start();
	exit(work(&f, expect_path));
}
