/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "loadgen.h"

#define SECOND UINT64_C(1000000000)
#define TICK (SECOND / 20)
#define EVENTS 256
/* Clients, and objects with numbers of their own from 4096 on, some five a second. */
#define FILES_LEAST 8192
/* Nobody is that slow; what is not answered by then is lost. */
#define PATIENCE (60 * SECOND)
/* A staller that was not put out goes after that, and what a client of that kind does begins anew.
 */
#define STALL_TIME (2 * SECOND)
/* What the service may take when nobody asks it anything. */
#define IDLE_KIB_MOST (10 * 1024)
/* It notices that all have gone, and a second later gives memory back. */
#define QUIET_TRIES 200

static unsigned n_clients = 1000, n_at_once = 100, seconds = 20, measured_mib = 1024;
static struct client *clients;
static int epoll_fd;
static bool failed;

void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("loadgen: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(EXIT_FAILURE);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void __attribute__((format(printf, 2, 3))) expect(bool good, const char *format, ...)
{
	va_list ap;

	if (good)
		return;
	va_start(ap, format);
	fputs("FAIL: ", stdout);
	vprintf(format, ap);
	putchar('\n');
	va_end(ap);
	failed = true;
}

/* ---- the load ------------------------------------------------------------------------------ */

/* Of a thousand some forty misbehave. */
static enum part part_of(unsigned i)
{
	switch (i % 100) {
	case 0:
		return PART_STALLER;
	case 25:
		return PART_VANISHER;
	case 50:
		return PART_GARBLER;
	case 75:
		return i % 500 == 75 ? PART_GIANT : PART_VANISHER;
	default:
		return PART_ASKER;
	}
}

static void handle_events(int timeout)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll_fd, events, EVENTS, timeout), i;

	for (i = 0; i < n; i++)
		client_ready(events[i].data.ptr, epoll_fd, events[i].events);
}

/* Keeps as many asking as there are to be: whoever comes next on the way round. */
static void ask_more(void)
{
	static unsigned at;
	unsigned i;

	for (i = 0; i < n_clients && n_asking < n_at_once; i++) {
		struct client *c = &clients[at++ % n_clients];

		if (c->part != PART_ASKER || c->n_pending > 0 || c->out)
			continue;
		if (c->fd < 0 && client_connect(c, epoll_fd) < 0)
			continue;
		client_ask(c, epoll_fd);
	}
}

static void tick(unsigned n)
{
	struct object **o = &alive[random() % OBJECTS];
	unsigned i;

	/* they come and go */
	if (n % 4 == 0) {
		object_close(*o);
		*o = object_new(64 + (uint64_t)random() % 1000, 0, true);
	}
	for (i = 0; i < n_clients; i++) {
		struct client *c = &clients[i];
		uint64_t pause = c->part == PART_STALLER ? STALL_TIME
				 : c->part == PART_GIANT ? SECOND
							 : 2 * TICK;

		if (c->part != PART_ASKER && now_ns() - c->since > pause)
			client_misbehave(c, epoll_fd);
	}
}

static void connect_all(void)
{
	unsigned i;

	for (i = 0; i < n_clients; i++) {
		clients[i].fd = -1;
		clients[i].part = part_of(i);
		if (clients[i].part != PART_ASKER)
			client_misbehave(&clients[i], epoll_fd);
		else if (client_connect(&clients[i], epoll_fd) < 0)
			die("connection %u: %s", i, strerror(errno));
	}
}

static unsigned pending(void)
{
	unsigned i, n = 0;

	for (i = 0; i < n_clients; i++)
		if (clients[i].fd >= 0 && clients[i].part != PART_STALLER)
			n += clients[i].part == PART_GARBLER ? 1 : (unsigned)clients[i].n_pending;
	return n;
}

static void run_load(void)
{
	uint64_t start = now_ns(), next = start, end = start + seconds * SECOND;
	unsigned i, n = 0;

	connect_all();
	while (now_ns() < end) {
		if (now_ns() >= next) {
			tick(n++);
			next += TICK;
		}
		ask_more();
		handle_events(5);
	}
	/* no more questions */
	for (i = 0; i < n_clients; i++)
		if (clients[i].part == PART_STALLER || clients[i].part == PART_VANISHER)
			client_close(&clients[i]);
	end = now_ns() + PATIENCE;
	while (pending() > 0 && now_ns() < end)
		handle_events(100);
	for (i = 0; i < n_clients; i++) {
		struct client *c = &clients[i];

		if (c->fd < 0)
			continue;
		totals.not_put_out += c->part == PART_GARBLER;
		if (c->part == PART_ASKER)
			totals.lost += c->n_pending;
		client_close(c);
	}
}

/* ---- what came of it ----------------------------------------------------------------------- */

static void report(uint64_t took)
{
	uint64_t asked = 0, right = 0;
	enum kind kind;

	for (kind = 0; kind < ASK_KINDS; kind++) {
		printf("  %-17s %8" PRIu64 " asked %8" PRIu64 " right\n", kind_names[kind],
		       totals.asked[kind], totals.right[kind]);
		asked += totals.asked[kind];
		right += totals.right[kind];
	}
	printf("%u clients, %u at a time, %.1f s: %" PRIu64 " requests, %.0f a second; %" PRIu64
	       " right, %" PRIu64 " wrong, %" PRIu64 " refused, %" PRIu64
	       " of objects that had gone, %" PRIu64 " of objects that had changed, %" PRIu64
	       " lost\n",
	       n_clients, n_at_once, (double)took / 1e9, asked,
	       (double)asked / ((double)took / 1e9), right, totals.wrong, totals.refused,
	       totals.gone, totals.moved, totals.lost);
	printf("%" PRIu64 " connections, %" PRIu64 " turned away; %" PRIu64 " stalled, %" PRIu64
	       " vanished, %" PRIu64 " sent garbage, %" PRIu64 " sent %zu bytes\n",
	       totals.connected, totals.turned_away, totals.stalls, totals.vanished, totals.garbled,
	       totals.giants, message_limit);
	expect(totals.wrong == 0, "%" PRIu64 " wrong answers", totals.wrong);
	expect(totals.lost == 0, "%" PRIu64 " questions were not answered", totals.lost);
	expect(totals.put_out == 0, "connections were closed, with %" PRIu64 " questions",
	       totals.put_out);
	expect(totals.not_put_out == 0, "%" PRIu64 " that sent garbage were not put out",
	       totals.not_put_out);
	expect(totals.giants_unanswered == 0, "%" PRIu64 " greatest messages were not answered",
	       totals.giants_unanswered);
	expect(totals.refused <= asked / 10, "%" PRIu64 " of %" PRIu64 " questions were refused",
	       totals.refused, asked);
	for (kind = 0; kind < ASK_KINDS; kind++)
		expect(totals.right[kind] > 0, "no right answer to %s", kind_names[kind]);
	expect(totals.garbled > 0 && totals.giants > 0 && totals.stalls > 0 && totals.vanished > 0,
	       "not everything was tried");
}

/* What earlier answers take that clients may ask about again: it is bounded by itself. */
static long read_kept(void)
{
	struct json_object *status = ask_once("io.shmstate.GetStatus"), *history, *bytes;
	long kib;

	if (!json_object_object_get_ex(status, "history", &history) ||
	    !json_object_object_get_ex(history, "bytes", &bytes))
		die("GetStatus tells nothing of history");
	kib = (long)(json_object_get_int64(bytes) / 1024);
	json_object_put(status);
	return kib;
}

static bool is_small(const struct footprint *f)
{
	return f->sanitized || f->rss_kib - f->kept_kib <= IDLE_KIB_MOST;
}

static void expect_idle(const struct footprint *f, const char *when)
{
	expect(is_small(f),
	       "%s the idle service takes %ld KiB, %ld of them for answers that are kept: more "
	       "than %d",
	       when, f->rss_kib, f->kept_kib, IDLE_KIB_MOST);
}

/* As before, once nobody is connected. */
static void compare_footprints(pid_t pid, const struct footprint *before, const char *when)
{
	long kept = read_kept();
	struct footprint after;
	int tries;

	for (tries = 0; tries < QUIET_TRIES; tries++) {
		if (footprint_read(pid, &after) < 0)
			die("the service has gone");
		after.kept_kib = kept;
		if (after.fds <= before->fds && after.threads <= before->threads &&
		    is_small(&after))
			break;
		usleep(100000);
	}
	printf("%s, idle: %ld KiB (%ld), %ld of them kept answers, %ld threads (%ld), "
	       "%ld descriptors (%ld)\n",
	       when, after.rss_kib, before->rss_kib, after.kept_kib, after.threads, before->threads,
	       after.fds, before->fds);
	expect(after.fds <= before->fds, "%s descriptors stay open", when);
	expect(after.threads <= before->threads, "%s threads stay", when);
	expect_idle(&after, when);
}

static unsigned take_number(const char *text, const char *what)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n > 1000000)
		die("%s=%s: a number was expected", what, text);
	return (unsigned)n;
}

static void take_options(int argc, char **argv)
{
	static const struct option options[] = {{"clients", required_argument, NULL, 'c'},
						{"at-once", required_argument, NULL, 'a'},
						{"seconds", required_argument, NULL, 's'},
						{"measure", required_argument, NULL, 'm'},
						{0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'c':
			n_clients = take_number(optarg, "--clients");
			break;
		case 'a':
			n_at_once = take_number(optarg, "--at-once");
			break;
		case 's':
			seconds = take_number(optarg, "--seconds");
			break;
		case 'm':
			measured_mib = take_number(optarg, "--measure");
			break;
		default:
			exit(2);
		}
	if (optind != argc - 1 || n_clients < 100)
		die("usage: loadgen [--clients=N] [--at-once=N] [--seconds=N] [--measure=MiB] "
		    "SOCKET");
	socket_path = argv[optind];
}

static pid_t read_status(void)
{
	struct json_object *status = ask_once("io.shmstate.GetStatus"), *limits, *j;
	pid_t pid;

	if (!json_object_object_get_ex(status, "pid", &j))
		die("GetStatus tells no pid");
	pid = (pid_t)json_object_get_int64(j);
	if (!json_object_object_get_ex(status, "limits", &limits) ||
	    !json_object_object_get_ex(limits, "messageBytes", &j))
		die("GetStatus tells no messageBytes");
	message_limit = (size_t)json_object_get_int64(j);
	printf("Limits: %s\n", json_object_to_json_string_ext(limits, JSON_C_TO_STRING_PLAIN));
	json_object_put(status);
	return pid;
}

static void show_counters(void)
{
	struct json_object *status = ask_once("io.shmstate.GetStatus"), *counters;

	if (json_object_object_get_ex(status, "counters", &counters))
		printf("Counters: %s\n",
		       json_object_to_json_string_ext(counters, JSON_C_TO_STRING_PLAIN));
	json_object_put(status);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct footprint idle, before;
	uint64_t start;
	unsigned i;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	take_options(argc, argv);
	page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	if (files.rlim_max < FILES_LEAST || setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("%llu files may be open, %d are needed", (unsigned long long)files.rlim_max,
		    FILES_LEAST);
	pid = read_status();
	if (footprint_read(pid, &idle) < 0)
		die("the service's /proc/%d cannot be read", (int)pid);
	printf("Idle: %ld KiB, %ld threads, %ld descriptors\n", idle.rss_kib, idle.threads,
	       idle.fds);
	expect_idle(&idle, "At first");
	warm_up();
	if (footprint_read(pid, &before) < 0)
		die("the service has gone");
	if (measured_mib > 0) {
		measure(((uint64_t)measured_mib << 20) / page_size, 3);
		compare_footprints(pid, &before, "After one client");
	}
	clients = calloc(n_clients, sizeof(*clients));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!clients || epoll_fd < 0)
		die("%s", strerror(errno));
	for (i = 0; i < OBJECTS; i++)
		alive[i] = object_new(64 + (uint64_t)random() % 1000, 0, true);
	start = now_ns();
	run_load();
	report(now_ns() - start);
	show_counters();
	compare_footprints(pid, &before, "After the load");
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
