// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scenarios - runs the factory's scenarios that suit the swap that is on, and asks shmstatectl.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenarios.h"

enum {
	/* Something else on the machine may reclaim memory, too, and so spoil a scenario. */
	ATTEMPTS = 12,
	PATIENT_ATTEMPTS = 4,
	DEFAULT_PAGES = 32768,
	LEAST_PAGES = 2048,
};

/* What a machine may lack without that being a failure, even in CI. */
static const struct {
	const char *scenario;
	const char *why;
} may_skip[] = {
	{"guest-memfd", "needs KVM and Linux 6.8"},
	{"secretmem", "can be off: secretmem.enable=0"},
	{"hugetlb", "needs free memory in one piece"},
	{"noswap", "needs Linux 6.4"},
	{"same-inode-memfd", "needs CONFIG_CHECKPOINT_RESTORE"},
	{"same-inode-sysv", "needs CONFIG_CHECKPOINT_RESTORE"},
	{"order-", "needs Linux 6.14 or so, with huge pages"},
	{"huge-", "needs huge pages"},
};

struct totals {
	unsigned passed, failed, skipped, retried;
	struct tally tally;
	int64_t pswpin, pgmajfault;
	long major_faults;
};

struct options {
	struct setup setup;
	const char *needs; /* only scenarios with this need */
	char **names;
	size_t count;
	bool ci;
};

static void usage(void)
{
	puts("Usage: scenarios [--ctl=FILE] [--factory=FILE] [--pages=N] [--needs=NEED] [NAME...]\n"
	     "\n"
	     "Runs all scenarios that suit the swap that is on, or those named, or those that "
	     "need\n"
	     "a swap of the kind NEED: none, swap, async, loop. The defaults are $SHMSTATECTL,\n"
	     "shmfactory beside this program, and $SHMSTATE_TEST_PAGES.");
}

/* ---- one scenario -------------------------------------------------------------------------- */

static void run_done(struct run *run)
{
	factory_stop(&run->factory);
	extents_free(&run->expect);
}

static bool is_allowed(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(may_skip) / sizeof(may_skip[0]); i++)
		if (!strncmp(name, may_skip[i].scenario, strlen(may_skip[i].scenario)))
			return true;
	return false;
}

static void skip(const struct options *o, const struct run *run, struct totals *totals)
{
	bool fails = o->ci && !is_allowed(run->name);

	printf("%s %s: %s\n", fails ? "FAIL" : "SKIP", run->name, run->factory.line);
	totals->failed += fails;
	totals->skipped += !fails;
}

/*
 * The fewer pages, the sooner one is done with them: what others move all the time (DAMON, on a
 * machine that is busy) is tried smaller after a while.
 */
static void format_pages(const struct options *o, unsigned tries, char *ret, size_t size)
{
	unsigned long pages = o->setup.pages ? strtoul(o->setup.pages, NULL, 10) : DEFAULT_PAGES;

	for (; tries > PATIENT_ATTEMPTS && pages > LEAST_PAGES; tries -= 2)
		pages /= 2;
	snprintf(ret, size, "%lu", pages);
}

/* Makes the object and checks it. False if the factory could not make it. */
static bool attempt(const struct options *o, const char *name, unsigned tries, struct run *ret,
		    int *ret_code)
{
	char path[128], pages[24];

	memset(ret, 0, sizeof(*ret));
	ret->setup = &o->setup;
	ret->name = name;
	snprintf(path, sizeof(path), "%s/expect", o->setup.dir);
	format_pages(o, tries, pages, sizeof(pages));
	*ret_code = factory_start(&ret->factory, o->setup.factory, name, pages, path);
	if (*ret_code)
		return false;
	check_scenario(ret);
	return true;
}

/* The oracles come last, so that it is what they say. */
static const char *last_message(struct run *run)
{
	char *text = run->messages, *line;
	size_t length = strlen(text);

	if (length)
		text[length - 1] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	return line + strspn(line, " ");
}

/*
 * Makes the object again when it did not hold still, or could not be brought into its states, for
 * which something else on the machine may be the cause. What is wrong every time is a failure.
 */
static bool attempt_often(const struct options *o, const char *name, struct run *run, int *ret_code,
			  struct totals *totals)
{
	unsigned tries;

	for (tries = 1;; tries++) {
		bool made = attempt(o, name, tries, run, ret_code);

		if (tries == ATTEMPTS || (made && !run->disturbed) || *ret_code == FACTORY_CANNOT)
			return made;
		printf("     %s: made anew, for it did not hold still: %s\n", name,
		       made ? last_message(run) : run->factory.line);
		totals->retried++;
		run_done(run);
		sleep(1);
	}
}

static void add_up(struct totals *totals, const struct run *run)
{
	totals->failed += !!run->problems;
	totals->passed += !run->problems;
	totals->tally.compared += run->tally.compared;
	totals->tally.wrong += run->tally.wrong;
	totals->tally.loose += run->tally.loose;
	totals->pswpin += run->pswpin;
	totals->pgmajfault += run->pgmajfault;
	totals->major_faults += run->major_faults;
}

static void run_scenario(const struct options *o, const char *name, struct totals *totals)
{
	struct run run;
	int code;

	if (attempt_often(o, name, &run, &code, totals)) {
		fputs(run.messages, stdout);
		printf("%s %s pages=%" PRIu64 " compared=%" PRIu64 " wrong=%" PRIu64
		       " loose=%" PRIu64 "\n",
		       run.problems ? "FAIL" : "ok", name, run.pages, run.tally.compared,
		       run.tally.wrong, run.tally.loose);
		add_up(totals, &run);
	} else if (code == FACTORY_CANNOT) {
		skip(o, &run, totals);
	} else {
		printf("FAIL %s: %s\n", name, run.factory.line);
		totals->failed++;
	}
	run_done(&run);
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool zswap_is_on(void)
{
	FILE *file = fopen("/sys/module/zswap/parameters/enabled", "re");
	bool on = file && fgetc(file) == 'Y';

	if (file)
		fclose(file);
	return on;
}

/* none, sync, async or loop: what the swap of highest priority is; with zswap it is sync. */
static const char *swap_class(void)
{
	char line[512], name[256];
	int priority, best = INT_MIN;
	const char *ret = "none";
	FILE *file = fopen("/proc/swaps", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%255s %*s %*s %*s %d", name, &priority) != 2 || priority <= best)
			continue;
		best = priority;
		ret = !strncmp(name, "/dev/zram", 9) || zswap_is_on() ? "sync"
		      : !strncmp(name, "/dev/loop", 9)                ? "loop"
								      : "async";
	}
	if (file)
		fclose(file);
	return ret;
}

static bool suits(const char *need, const char *class)
{
	if (!strcmp(need, "none"))
		return true;
	if (!strcmp(need, "swap"))
		return strcmp(class, "none") != 0;
	if (!strcmp(need, "async"))
		return !strcmp(class, "async") || !strcmp(class, "loop");
	return !strcmp(need, class);
}

static bool is_asked_for(const struct options *o, const char *name, const char *need)
{
	size_t i;

	if (o->needs)
		return !strcmp(o->needs, need);
	for (i = 0; i < o->count; i++)
		if (!strcmp(o->names[i], name))
			return true;
	return !o->count;
}

static int run_list(const struct options *o, struct totals *totals)
{
	char *argv[] = {(char *)o->setup.factory, "--list", NULL};
	const char *class = swap_class();
	char *line, *save = NULL;
	struct output list;

	run_program(argv, &list);
	if (list.code) {
		fprintf(stderr, "scenarios: %s --list failed: %s\n", o->setup.factory, list.errors);
		return -1;
	}
	for (line = strtok_r(list.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *need = strchr(line, '\t'), *what = need ? strchr(need + 1, '\t') : NULL;

		if (!what)
			continue;
		*need++ = *what++ = '\0';
		if (!is_asked_for(o, line, need))
			continue;
		if (suits(need, class))
			run_scenario(o, line, totals);
		else
			printf("  -  %s: not with this swap (%s)\n", line, what);
	}
	output_free(&list);
	return 0;
}

static int report(const struct totals *t, time_t seconds)
{
	printf("shmstatectl's own major faults: %ld; of the whole system during the queries: "
	       "pswpin %+" PRId64 ", pgmajfault %+" PRId64 "; objects made anew: %u\n",
	       t->major_faults, t->pswpin, t->pgmajfault, t->retried);
	printf("%" PRIu64 " page comparisons, %" PRIu64 " wrong, %" PRIu64 " loose, %ld s\n",
	       t->tally.compared, t->tally.wrong, t->tally.loose, (long)seconds);
	printf("%u passed, %u failed, %u skipped\n", t->passed, t->failed, t->skipped);
	return t->failed || !t->passed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The first run may read the program from the disk, which is no fault of a query. */
static bool warm_up(struct options *o)
{
	static char *const verbs[] = {"list", "capabilities", "--version"};
	struct output output;
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		char *argv[] = {(char *)o->setup.ctl, verbs[i], NULL};

		run_program(argv, &output);
		o->setup.walk |= output.text && strstr(output.text, "probe: walk");
		output_free(&output);
	}
	if (output.code)
		fprintf(stderr, "scenarios: %s --version: exit status %d\n", o->setup.ctl,
			output.code);
	if (!o->setup.walk)
		puts("     without the walk: only the portable probe is tested");
#ifdef HAVE_BPF
	if (!o->setup.walk && o->ci)
		return false;
#endif
	return !output.code;
}

/*
 * Keeps a program's text in memory: that the kernel dropped some of it, for want of memory or
 * because DAMON found it idle, would show as a major fault of shmstatectl, and look as if it had
 * swapped in.
 */
static void keep_in_memory(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	text = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (text != MAP_FAILED)
		mlock(text, st.st_size);
}

/* The program, its loader and its libraries. Where ldd is missing, faults are noise as before. */
static void keep_program_in_memory(const char *program)
{
	char command[512], path[512];
	FILE *libraries;

	keep_in_memory(program);
	snprintf(command, sizeof(command), "ldd '%s' 2>/dev/null | grep -o '/[^ ]*'", program);
	libraries = popen(command, "r");
	if (!libraries)
		return;
	while (fscanf(libraries, "%511s", path) == 1)
		keep_in_memory(path);
	pclose(libraries);
}

static void remove_dir(const char *dir)
{
	static const char *const names[] = {"expect", "values", "touch"};
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void find_programs(struct options *o, const char *self)
{
	static char beside[PATH_MAX], copy[PATH_MAX];
	struct utsname name;
	unsigned release = 0, patch = 0;

	snprintf(copy, sizeof(copy), "%s", self);
	snprintf(beside, sizeof(beside), "%.4000s/shmfactory", dirname(copy));
	o->setup.ctl = getenv("SHMSTATECTL");
	o->setup.pages = getenv("SHMSTATE_TEST_PAGES");
	o->setup.brief = getenv("SHMSTATE_TEST_BRIEF") && *getenv("SHMSTATE_TEST_BRIEF");
	o->setup.factory = getenv("SHMFACTORY") ? getenv("SHMFACTORY") : beside;
	o->ci = getenv("CI") && !strcmp(getenv("CI"), "true");
	uname(&name);
	sscanf(name.release, "%u.%u", &release, &patch);
	o->setup.old_kernel = release < 6 || (release == 6 && patch < 5);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"ctl", required_argument, NULL, 'c'},   {"factory", required_argument, NULL, 'f'},
		{"pages", required_argument, NULL, 'p'}, {"needs", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
	};
	time_t start = time(NULL);
	struct totals totals = {0};
	struct options o = {0};
	int option, r;

	find_programs(&o, argv[0]);
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
		switch (option) {
		case 'c':
			o.setup.ctl = optarg;
			break;
		case 'f':
			o.setup.factory = optarg;
			break;
		case 'p':
			o.setup.pages = optarg;
			break;
		case 'n':
			o.needs = optarg;
			break;
		case 'h':
			usage();
			return EXIT_SUCCESS;
		default:
			return 2;
		}
	o.names = argv + optind;
	o.count = argc - optind;
	if (!o.setup.ctl) {
		fputs("scenarios: say which shmstatectl: --ctl or $SHMSTATECTL\n", stderr);
		return 2;
	}
	if (geteuid()) {
		fputs("scenarios: only root can do this\n", stderr);
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	keep_program_in_memory(o.setup.ctl);
	strcpy(o.setup.dir, "/tmp/scenarios.XXXXXX");
	if (!mkdtemp(o.setup.dir) || !warm_up(&o))
		return EXIT_FAILURE;
	r = run_list(&o, &totals);
	remove_dir(o.setup.dir);
	return r < 0 ? EXIT_FAILURE : report(&totals, time(NULL) - start);
}
