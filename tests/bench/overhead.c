/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * overhead SWAP MIB RUNS - what being watched costs memory that goes out to a swap and comes back.
 * In each run an object is paged out and touched again, piece by piece, with something else
 * attached at each: of neighbours each has another way, in an order that changes all the time. A
 * cost is the difference between two ways within a run. Times are those of the thread on the CPU,
 * which what else runs here changes least; wall time is printed besides. SWAP is a name to print.
 */

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "probe/walker.h"
#include "track/events.h"
#include "util/util.h"

#define TRACEPOINT "mm_vmscan_write_folio"
#define RUNS_MAX 1000
#define PIECE_PAGES 2048
#define PIECES_MAX 65536

enum way {
	WAY_NOTHING,
	WAY_NOBODY, /* loaded, attached to nothing: shows what the noise is */
	WAY_EMPTY,  /* a program that does nothing, at the tracepoint */
	WAY_WATCHED,
	WAY_OTHER, /* another object is watched */
	WAY_ALL,
	WAY_MAX,
};

static const char *const names[WAY_MAX] = {
	[WAY_NOTHING] = "nothing attached", [WAY_NOBODY] = "nobody watches",
	[WAY_EMPTY] = "empty handler",      [WAY_WATCHED] = "object is watched",
	[WAY_OTHER] = "another is watched", [WAY_ALL] = "all are watched",
};

/* ns a page */
struct piece {
	double cpu, wall;
};

/* Of each run, the median of its pieces; a difference is that of two neighbours. */
struct times {
	double cpu[RUNS_MAX + 1]; /* with nothing attached */
	double wall[RUNS_MAX + 1];
	double cost[WAY_MAX][RUNS_MAX + 1]; /* more than with nothing attached, of CPU */
	double more[WAY_MAX][RUNS_MAX + 1]; /* more than the empty handler */
};

struct bench {
	struct events *events;
	uint64_t object, other; /* inodes */
	char *map;
	uint64_t pages;
	size_t page_size;
	int empty; /* program */
	int link;
	unsigned runs;
	uint64_t watched; /* pages that went out while the object was watched */
	uint64_t told;    /* and of how many of them events told */
	struct times out, in;
};

static double now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* r0 = 0; exit. */
static int load_empty(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP);
	struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct btf *btf = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	int id = btf__find_by_name_kind(btf, "btf_trace_" TRACEPOINT, BTF_KIND_TYPEDEF);

	btf__free(btf);
	if (id < 0)
		return id;
	options.attach_btf_id = (uint32_t)id;
	return bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", instructions,
			     ARRAY_SIZE(instructions), &options);
}

/* A sixth of a page is noise, so that the swap has to work for it. */
static void fill(struct bench *b)
{
	uint64_t random = 88172645463325252u;

	for (uint64_t page = 0; page < b->pages; page++) {
		uint64_t *words = (uint64_t *)(void *)(b->map + page * b->page_size);

		for (size_t i = 0; i < b->page_size / sizeof(*words) / 6; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			words[i * 6] = random;
		}
	}
}

static int inode_of(int fd, uint64_t *ret)
{
	struct walker_place place = {.fd = fd, .end = 1, .max_records = WALK_NODE_PAGES};
	struct walker_chunk chunk;
	struct walker *w;
	int r = walker_new(WALKER_STATES, &w);

	if (r < 0)
		return r;
	r = walker_read(w, &place, &chunk);
	if (r >= 0)
		*ret = chunk.before.inode;
	walker_free(w);
	return r;
}

static int make_object(struct bench *b, uint64_t pages, uint64_t *ret_inode)
{
	_cleanup_close_ int fd = memfd_create("bench-overhead", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(pages * b->page_size)) < 0)
		return -errno;
	b->map = mmap(NULL, pages * b->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (b->map == MAP_FAILED)
		return -errno;
	b->pages = pages;
	(void)madvise(b->map, pages * b->page_size, MADV_NOHUGEPAGE);
	fill(b);
	return inode_of(fd, ret_inode);
}

static int start(struct bench *b, enum way way)
{
	switch (way) {
	case WAY_NOTHING:
	case WAY_NOBODY:
	case WAY_MAX:
		return 0;
	case WAY_EMPTY:
		b->link = bpf_raw_tracepoint_open(NULL, b->empty);
		return b->link < 0 ? -errno : 0;
	case WAY_WATCHED:
		return events_watch(b->events, b->object);
	case WAY_OTHER:
		return events_watch(b->events, b->other);
	case WAY_ALL:
		return events_watch_all(b->events);
	}
	return 0;
}

static void stop(struct bench *b, enum way way)
{
	switch (way) {
	case WAY_NOTHING:
	case WAY_NOBODY:
	case WAY_MAX:
		return;
	case WAY_EMPTY:
		close(b->link);
		return;
	case WAY_WATCHED:
		events_unwatch(b->events, b->object);
		return;
	case WAY_OTHER:
		events_unwatch(b->events, b->other);
		return;
	case WAY_ALL:
		events_unwatch_all(b->events);
		return;
	}
}

static void page_out(char *piece, size_t page_size)
{
	(void)madvise(piece, PIECE_PAGES * page_size, MADV_PAGEOUT);
}

static void touch(char *piece, size_t page_size)
{
	for (size_t i = 0; i < PIECE_PAGES; i++)
		*(volatile char *)(piece + i * page_size);
}

static void add_told(void *context, const struct event *event)
{
	struct bench *b = context;

	if (event->kind == EVENT_SWAP_OUT && event->inode == b->object)
		b->told += event->count;
}

typedef void (*work_fn)(char *piece, size_t page_size);

/*
 * Detaching leaves the kernel things to free when nobody can use them any more: what comes next
 * would pay for it, and it comes in the same order always.
 */
static void wait_for_the_rest(void)
{
	for (int i = 0; i < 2; i++)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
			usleep(20000);
}

static int run_piece(struct bench *b, enum way way, char *piece, work_fn work, struct piece *ret)
{
	double cpu, wall;
	int r = 0;

	/* Attaching makes the thread wait, and leaves things in caches: so it is done each time. */
	if (way == WAY_NOTHING || way == WAY_NOBODY) {
		r = start(b, WAY_EMPTY);
		stop(b, WAY_EMPTY);
	}
	if (r >= 0)
		r = start(b, way);
	if (r < 0)
		return r;
	wait_for_the_rest();
	cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	wall = now_ns(CLOCK_MONOTONIC);
	work(piece, b->page_size);
	ret->cpu = (now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / PIECE_PAGES;
	ret->wall = (now_ns(CLOCK_MONOTONIC) - wall) / PIECE_PAGES;
	if (way == WAY_WATCHED || way == WAY_OTHER || way == WAY_ALL)
		r = events_consume(b->events, way == WAY_WATCHED ? add_told : NULL, b);
	if (way == WAY_WATCHED && work == page_out)
		b->watched += PIECE_PAGES;
	stop(b, way);
	return r;
}

/* ---- figures ----------------------------------------------------------------------------------
 */

struct quartiles {
	double low, median, high;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct quartiles quartiles_of(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return (struct quartiles){values[n / 4], values[n / 2], values[n * 3 / 4]};
}

static void print(const struct bench *b, const char *what, struct times *times)
{
	struct quartiles cpu = quartiles_of(times->cpu + 1, b->runs);
	struct quartiles wall = quartiles_of(times->wall + 1, b->runs);
	double empty = quartiles_of(times->cost[WAY_EMPTY] + 1, b->runs).median;

	printf("%s, ns a page: %.0f (%.0f to %.0f) of CPU, %.0f (%.0f to %.0f) of wall time\n",
	       what, cpu.median, cpu.low, cpu.high, wall.median, wall.low, wall.high);
	printf("  %-19s %24s %24s %8s %8s\n", "", "costs, ns (quartiles)",
	       "more than empty handler", "x empty", "percent");
	for (int way = WAY_NOBODY; way < WAY_MAX; way++) {
		struct quartiles cost = quartiles_of(times->cost[way] + 1, b->runs);
		struct quartiles more = quartiles_of(times->more[way] + 1, b->runs);

		printf("  %-19s %7.1f (%6.1f to %6.1f) %7.1f (%6.1f to %6.1f) %8.2f %8.2f\n",
		       names[way], cost.median, cost.low, cost.high, more.median, more.low,
		       more.high, cost.median / empty, cost.median / wall.median * 100);
	}
}

static int prepare(struct bench *b, uint64_t pages)
{
	int r = events_new(EVENTS_ALL, &b->events);

	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	b->page_size = (size_t)getpagesize();
	if (r >= 0)
		r = make_object(b, 512, &b->other);
	if (r >= 0)
		r = make_object(b, pages, &b->object);
	if (r >= 0)
		r = b->empty = load_empty();
	return r;
}

typedef struct piece pieces_t[WAY_MAX][PIECES_MAX / WAY_MAX];

static double median_difference(const struct piece *a, const struct piece *b, size_t n)
{
	double values[PIECES_MAX / WAY_MAX];

	for (size_t i = 0; i < n; i++)
		values[i] = a[i].cpu - b[i].cpu;
	return quartiles_of(values, n).median;
}

static void add_run(struct times *times, unsigned run, pieces_t pieces, size_t n)
{
	double cpu[PIECES_MAX / WAY_MAX], wall[PIECES_MAX / WAY_MAX];

	for (size_t i = 0; i < n; i++) {
		cpu[i] = pieces[WAY_NOTHING][i].cpu;
		wall[i] = pieces[WAY_NOTHING][i].wall;
	}
	times->cpu[run] = quartiles_of(cpu, n).median;
	times->wall[run] = quartiles_of(wall, n).median;
	for (int way = 0; way < WAY_MAX; way++) {
		times->cost[way][run] = median_difference(pieces[way], pieces[WAY_NOTHING], n);
		times->more[way][run] = median_difference(pieces[way], pieces[WAY_EMPTY], n);
	}
}

/* Each way once, in an order that changes, so that none always comes after the same one. */
static void shuffle(enum way order[WAY_MAX])
{
	for (int i = 0; i < WAY_MAX; i++) {
		int k = (int)(random() % (i + 1));

		order[i] = order[k];
		order[k] = (enum way)i;
	}
}

static int run_object(struct bench *b, struct times *times, unsigned run, work_fn work)
{
	static pieces_t pieces;
	size_t groups = MIN(b->pages / PIECE_PAGES, (uint64_t)PIECES_MAX) / WAY_MAX;
	enum way order[WAY_MAX];
	int r = 0;

	for (size_t i = 0; i < groups * WAY_MAX && r >= 0; i++) {
		if (i % WAY_MAX == 0)
			shuffle(order);
		r = run_piece(b, order[i % WAY_MAX], b->map + i * PIECE_PAGES * b->page_size, work,
			      &pieces[order[i % WAY_MAX]][i / WAY_MAX]);
	}
	if (r >= 0)
		add_run(times, run, pieces, groups);
	return r;
}

/* The first run is another thing, and does not count. */
static int run_all(struct bench *b)
{
	int r = 0;

	for (unsigned run = 0; run <= b->runs && r >= 0; run++) {
		r = run_object(b, &b->out, run, page_out);
		if (r >= 0)
			r = run_object(b, &b->in, run, touch);
	}
	return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
	static struct bench b;
	uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	int r;

	b.runs = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	if (argc != 4 || mib == 0 || b.runs == 0 || b.runs > RUNS_MAX ||
	    (mib << 20) / (uint64_t)getpagesize() < PIECE_PAGES * WAY_MAX) {
		fprintf(stderr, "Usage: overhead SWAP MIB RUNS (1 to %d; MIB: 48 at least)\n",
			RUNS_MAX);
		return 2;
	}
	r = prepare(&b, (mib << 20) / (uint64_t)getpagesize());
	if (r >= 0)
		r = run_all(&b);
	if (r < 0) {
		fprintf(stderr, "overhead: %s\n", strerror(-r));
		return 1;
	}
	printf("== watching, %s, %" PRIu64 " MiB, %u paired runs, level %s\n", argv[1], mib, b.runs,
	       events_level_to_string(events_level(b.events)));
	print(&b, "page-out", &b.out);
	print(&b, "swap-in", &b.in);
	printf("  while the object was watched %" PRIu64 " of %" PRIu64 " pages told, %" PRIu64
	       " events lost\n",
	       b.told, b.watched, events_lost(b.events));
	events_free(b.events);
	return 0;
}
