/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swapoff-scan SWAP [--pages=N] [--dir=TMPFS] - an object of which much lies in a swap is scanned
 * while that swap is switched off. What is known then: holes stay holes; a page that was seen in
 * core stays there, for there is nowhere else to go; and as many pages have swap entries as smaps
 * counts, between before the scan and after it. (The kernel counts a folio down after it has put
 * it into the page cache.) And the walk never says "swapped" of a page that was in the swap cache
 * and came from there into the page cache under its eyes: nothing was reclaimed meanwhile. (What
 * DAMON takes out of the swap cache is counted nowhere; so where it does such a page is none.)
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/probe.h"
#include "util/util.h"

enum {
	EXIT_NOT_PAGED_OUT = 78,
};

struct object {
	int fd;
	uint64_t pages;
	uint64_t page_size;
	uint64_t folio_pages;  /* of the largest that may be in it */
	bool may_go_out;       /* there is another swap */
	unsigned char *seen;   /* in core, by an earlier scan */
	unsigned char *cached; /* in the swap cache, by an earlier scan */
	uint64_t steals;       /* what was reclaimed before that */
	bool damon;            /* it pages out here, */
	uint64_t stolen;       /* and these, it seems, */
	uint64_t out;          /* of which mincore then said that they are not in core */
	uint64_t compared;
	uint64_t wrong;
	uint64_t unknown;
	uint64_t scans;
	uint64_t under_way; /* scans that saw some pages swapped and some no longer */
};

_Noreturn static void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("swapoff-scan: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* Every seventh page, and every other run of 64. */
static bool is_hole(uint64_t page)
{
	return page % 7 == 3 || page / 64 % 2 == 1;
}

/* Entries in the page cache, as smaps counts them under a mapping of the whole. */
static uint64_t entries(const struct object *o)
{
	size_t size = o->pages * o->page_size;
	void *map = mmap(NULL, size, PROT_NONE, MAP_SHARED, o->fd, 0);
	FILE *smaps = fopen("/proc/self/smaps", "re");
	uintmax_t start, kib = 0;
	bool inside = false;
	char line[512];

	if (map == MAP_FAILED || !smaps)
		die("smaps cannot be read: %s", strerror(errno));
	while (fgets(line, sizeof(line), smaps)) {
		char *end;

		start = strtoumax(line, &end, 16);
		if (*end == '-' && end > line)
			inside = start == (uintptr_t)map;
		else if (inside && sscanf(line, "Swap: %ju kB", &kib) == 1)
			break;
	}
	fclose(smaps);
	munmap(map, size);
	return kib * 1024 / o->page_size;
}

static void make(struct object *o, const char *dir)
{
	char *map;

	o->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	o->folio_pages = dir ? 512 : 1;
	o->fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
		    : memfd_create("shmstate-swapoff", MFD_CLOEXEC);
	if (o->fd < 0 || ftruncate(o->fd, (off_t)(o->pages * o->page_size)) < 0)
		die("no object: %s", strerror(errno));
	map = mmap(NULL, o->pages * o->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	o->seen = calloc(o->pages, 1);
	o->cached = calloc(o->pages, 1);
	if (map == MAP_FAILED || !o->seen || !o->cached)
		die("no memory");
	for (uint64_t page = 0; page < o->pages; page++)
		if (dir || !is_hole(page))
			memcpy(map + page * o->page_size, &(uint64_t){page + 1}, sizeof(page));
	/* What is not on a list of the LRU yet is passed over. */
	for (int i = 0; i < 20 && entries(o) < o->pages / 4; i++) {
		if (madvise(map, o->pages * o->page_size, MADV_PAGEOUT) < 0)
			die("MADV_PAGEOUT: %s", strerror(errno));
		usleep(50000);
	}
	munmap(map, o->pages * o->page_size);
	/* of large folios the holes are made when they are in the swap */
	for (uint64_t page = 0; dir && page < o->pages; page++)
		if (is_hole(page) &&
		    fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(page * o->page_size), (off_t)o->page_size) < 0)
			die("punch: %s", strerror(errno));
}

static void complain(struct object *o, const char *probe, uint64_t page, const char *what)
{
	if (o->wrong++ < 10)
		printf("%s: page %" PRIu64 ": %s\n", probe, page, what);
}

static void check_page(struct object *o, const char *probe, uint64_t page, enum page_state state)
{
	if (state == PAGE_UNKNOWN)
		o->unknown++;
	else if (is_hole(page) && state != PAGE_HOLE)
		complain(o, probe, page, "a hole is said to be something");
	else if (!is_hole(page) && (state == PAGE_HOLE || state == PAGE_ALLOCATED))
		complain(o, probe, page, "what was written is said not to be there");
	else if (state == PAGE_POISONED)
		complain(o, probe, page, "no page is lost");
	else if (o->seen[page] && !o->may_go_out && state != PAGE_PRESENT && state != PAGE_IN_CORE)
		complain(o, probe, page, "was in core, and has nowhere to go");
	o->seen[page] |= state == PAGE_PRESENT;
}

/* Pages reclaimed by anybody since boot. */
static uint64_t count_steals(void)
{
	FILE *vmstat = fopen("/proc/vmstat", "re");
	uint64_t sum = 0, value;
	char name[64];

	while (vmstat && fscanf(vmstat, "%63s %" SCNu64, name, &value) == 2)
		if (strncmp(name, "pgsteal_", 8) == 0)
			sum += value;
	if (vmstat)
		fclose(vmstat);
	return sum;
}

static bool damon_pages_out(void)
{
	glob_t found;
	bool does = false;

	if (glob("/sys/kernel/mm/damon/admin/kdamonds/*/contexts/*/schemes/*/action", GLOB_NOSORT,
		 NULL, &found) != 0)
		return false;
	for (size_t i = 0; i < found.gl_pathc && !does; i++) {
		FILE *file = fopen(found.gl_pathv[i], "re");
		char action[32] = "";

		does = file && fgets(action, sizeof(action), file) &&
		       strcmp(action, "pageout\n") == 0;
		if (file)
			fclose(file);
	}
	globfree(&found);
	return does;
}

static void note_stolen(struct object *o, uint64_t page)
{
	unsigned char core = 0;
	void *map = mmap(NULL, o->page_size, PROT_NONE, MAP_SHARED, o->fd,
			 (off_t)(page * o->page_size));

	if (map == MAP_FAILED || mincore(map, o->page_size, &core) < 0)
		die("mincore: %s", strerror(errno));
	munmap(map, o->page_size);
	o->stolen++;
	o->out += !(core & 1);
}

static void check_cached(struct object *o, const char *probe, const struct snapshot *s)
{
	uint64_t steals = count_steals();
	bool reclaimed = steals != o->steals;

	for (uint64_t page = 0; page < o->pages; page++) {
		enum page_state state = state_map_get(&s->map, page);

		if (o->cached[page] && !reclaimed && state == PAGE_SWAPPED && o->damon)
			note_stolen(o, page);
		else if (o->cached[page] && !reclaimed && state == PAGE_SWAPPED)
			complain(o, probe, page,
				 "was in the swap cache, and nothing was reclaimed");
		o->cached[page] = state == PAGE_SWAP_CACHE;
	}
	o->steals = steals;
}

static void check(struct object *o, const char *probe, const struct snapshot *s, uint64_t before)
{
	uint64_t after = entries(o), swapped = s->counts[PAGE_SWAPPED];
	uint64_t most = swapped + s->counts[PAGE_SWAP_CACHE] + s->counts[PAGE_IN_CORE] +
			s->counts[PAGE_UNKNOWN];
	uint64_t page = 0;

	for (; page < o->pages; page++)
		check_page(o, probe, page, state_map_get(&s->map, page));
	if (swapped > before || most + o->folio_pages < after) {
		o->wrong++;
		printf("%s: %" PRIu64 " to %" PRIu64 " entries; smaps counts %" PRIu64
		       " before, %" PRIu64 " after\n",
		       probe, swapped, most, before, after);
	}
	if (s->sources & SOURCE_PAGE_CACHE)
		check_cached(o, probe, s);
	o->compared += o->pages;
	o->scans++;
	o->under_way += after > 0 && s->counts[PAGE_PRESENT] > 0;
}

static void scan(struct object *o, struct prober *prober)
{
	struct probe_request request = {.fd = o->fd, .caps = prober->caps, .range = PROBE_ALL};
	struct snapshot answer = {0};
	uint64_t before = entries(o);
	int r = probe(prober, &request, &answer);

	if (r < 0)
		die("%s: %s", probe_choice_to_string(prober->choice), strerror(-r));
	check(o, probe_choice_to_string(prober->choice), &answer, before);
	snapshot_done(&answer);
}

static pid_t start_swapoff(const char *swap)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0)
		_exit(swapoff(swap) < 0 ? errno : 0);
	return pid;
}

/* The portable probe looks until nothing moves, which may take until the end: it comes last. */
static unsigned whose_turn(unsigned scan)
{
	return scan < 30 ? 0 : scan % 3;
}

static void scan_until_it_is_off(struct object *o, const char *swap, struct prober *probers)
{
	pid_t child = start_swapoff(swap);
	int status;

	for (unsigned i = 0; waitpid(child, &status, WNOHANG) != child; i++)
		scan(o, &probers[whose_turn(i)]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("swapoff of %s: %s", swap, strerror(WEXITSTATUS(status)));
	if (entries(o) > 0 && !o->may_go_out)
		die("the swap is off, and smaps still counts entries");
}

static unsigned count_swaps(void)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	unsigned lines = 0;
	char line[512];

	while (swaps && fgets(line, sizeof(line), swaps))
		lines++;
	if (swaps)
		fclose(swaps);
	return lines ? lines - 1 : 0; /* the first is a heading */
}

static int run(struct object *o, const char *swap, const char *dir)
{
	static const enum probe_choice choices[] = {PROBE_WALK, PROBE_VERIFY, PROBE_PORTABLE};
	struct prober probers[ARRAY_SIZE(choices)] = {0};
	struct kcaps caps;
	uint64_t swapped;

	if (kcaps_probe(&caps) < 0)
		die("not even a memfd can be made");
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
		if (prober_open(&probers[i], &caps, choices[i]) < 0) {
			puts("no walk of the page cache here");
			return 77;
		}
	o->may_go_out = count_swaps() > 1;
	o->damon = damon_pages_out();
	make(o, dir);
	/* khugepaged would fill holes of large folios, through a mapping that entries() has just
	 * then. */
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		die("PR_SET_THP_DISABLE: %s", strerror(errno));
	swapped = entries(o);
	if (swapped < o->pages / 4) {
		printf("only %" PRIu64 " of %" PRIu64 " pages could be paged out\n", swapped,
		       o->pages);
		return EXIT_NOT_PAGED_OUT;
	}
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
		scan(o, &probers[i]);
	scan_until_it_is_off(o, swap, probers);
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		scan(o, &probers[i]);
		prober_done(&probers[i]);
	}
	printf("%s: %" PRIu64 " swapped; %" PRIu64 " scans, %" PRIu64 " of them under way; %" PRIu64
	       " compared, %" PRIu64 " unknown, %" PRIu64 " wrong\n",
	       dir ? "large folios" : "memfd", swapped, o->scans, o->under_way, o->compared,
	       o->unknown, o->wrong);
	if (o->stolen > 0)
		printf("%" PRIu64 " left the swap cache, by DAMON as it seems; mincore has %" PRIu64
		       " of them not in core\n",
		       o->stolen, o->out);
	free(o->seen);
	free(o->cached);
	return o->wrong > 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"pages", required_argument, NULL, 'p'},
						{"dir", required_argument, NULL, 'd'},
						{0}};
	struct object o = {.pages = 131072};
	const char *dir = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (c == 'p')
			o.pages = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			dir = optarg;
		else
			return 2;
	if (optind + 1 != argc || o.pages < 1024 || o.pages % 128 != 0) {
		fputs("Usage: swapoff-scan [--pages=N] [--dir=TMPFS] SWAP (N: times 128)\n",
		      stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	return run(&o, argv[optind], dir);
}
