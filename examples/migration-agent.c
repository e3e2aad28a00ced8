// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * migration-agent --qmp=PATH | --pid=PID [OPTION...]
 *
 * What an agent that migrates a QEMU guest wants to know of the guest's RAM: which of its pages are
 * on swap, so that a transfer can leave them there, and would drag them in if it read them all.
 * Asks shmstated, which touches no page. The guest's RAM must be shared memory:
 *
 *     qemu-system-x86_64 -m 4G -object memory-backend-memfd,id=mem,size=4G,share=on \
 *         -machine q35,memory-backend=mem -qmp unix:/run/guest.qmp,server=on,wait=off ...
 *
 *     cc migration-agent.c qemu.c $(pkg-config --cflags --libs libshmstate json-c)
 *
 * migration-agent.py is the same in Python, and prints the same.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmstate/shmstate.h>

#include "qemu.h"

#define DEFAULT_SOCKET "/run/shmstate/io.shmstate"
#define ABOVE (UINT64_C(1) << 32) /* where RAM goes on above the hole */

/* What the service and we know of a block. */
struct memory {
	struct block *block;
	char object[64];
	uint64_t size;
	struct shmstate_map *map; /* from the last look */
};

struct agent {
	const char *qmp_path, *socket;
	pid_t pid;
	uint64_t below_4g, rounds, interval;
	bool ranges;
	struct qmp *qmp;
	struct shmstate *service;
	struct blocks blocks;
	struct memory memory[MAX_BLOCKS];
};

/* Of a guest that was stopped for us: it must run again, whatever happens. */
static struct qmp *to_continue;

static void let_continue(void)
{
	struct qmp *qmp = to_continue;

	to_continue = NULL;
	if (qmp)
		qmp_run(qmp, "cont");
}

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("migration-agent: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	let_continue();
	exit(1);
}

/* ---- shmstated ------------------------------------------------------------------------------ */

static void explain(struct agent *a, const struct block *block, int error)
{
	const char *name = shmstate_error_name(a->service);

	if (error != -EREMOTEIO || !name)
		die("%s: %s", a->socket, strerror(-error));
	if (!strcmp(name, "io.shmstate.NoSuchObject"))
		die("QEMU %d: no shared memory for block %s (memory-backend-memfd, share=on)",
		    a->pid, block->name);
	if (!strcmp(name, "io.shmstate.SeveralObjects"))
		die("QEMU %d: several blocks of this name: use --qmp, with QEMU 8 or later",
		    a->pid);
	if (!strcmp(name, "io.shmstate.NoSuchProcess"))
		die("process %d: no such process", a->pid);
	die("the service says %s %s", name, shmstate_error_parameters(a->service));
}

static bool shares(const struct json_object *object, pid_t pid)
{
	struct json_object *mappers, *value;
	size_t i;

	if (!json_object_object_get_ex(object, "mappers", &mappers))
		return false;
	for (i = 0; mappers && i < json_object_array_length(mappers); i++) {
		struct json_object *mapper = json_object_array_get_idx(mappers, i);

		if (json_object_object_get_ex(mapper, "pid", &value) &&
		    json_object_get_int(value) == pid &&
		    json_object_object_get_ex(mapper, "sharing", &value) &&
		    !strcmp(json_object_get_string(value), "shared"))
			return true;
	}
	return false;
}

/* By where QEMU has mapped it; if QEMU does not tell that, by the name that memfds of backends
 * have. */
static void find_object(struct agent *a, struct memory *m)
{
	struct json_object *reply, *object, *value;
	const char *text;
	char parameters[256];
	int ret;

	if (m->block->have_address)
		snprintf(parameters, sizeof(parameters),
			 "{\"selector\":{\"pid\":%d,\"address\":%" PRIu64 "}}", a->pid,
			 m->block->address);
	else
		snprintf(parameters, sizeof(parameters),
			 "{\"selector\":{\"pid\":%d,\"name\":\"memory-backend-memfd\"}}", a->pid);
	ret = shmstate_call(a->service, "io.shmstate.GetObject", parameters, NULL, 0, &text);
	if (ret < 0)
		explain(a, m->block, ret);
	reply = json_tokener_parse(text);
	if (!json_object_object_get_ex(reply, "object", &object) || !shares(object, a->pid))
		die("block %s: QEMU does not share it (share=on)", m->block->name);
	json_object_object_get_ex(object, "object", &value);
	snprintf(m->object, sizeof(m->object), "%s", json_object_get_string(value));
	json_object_object_get_ex(object, "size", &value);
	m->size = json_object_get_uint64(value);
	json_object_put(reply);
}

static struct shmstate_map *look_at(struct agent *a, const struct memory *m)
{
	struct shmstate_selector selector = SHMSTATE_SELECTOR_INIT;
	struct shmstate_map *map;
	int ret;

	selector.pid = a->pid;
	selector.id = m->object;
	ret = shmstate_classify(a->service, &selector, NULL, SHMSTATE_PROBE_AUTO, &map);
	if (ret < 0)
		explain(a, m->block, ret);
	return map;
}

/* ---- looks ---------------------------------------------------------------------------------- */

/* Pages swapped in by the whole system, and major faults of QEMU. */
struct faults {
	uint64_t system, qemu;
};

static struct faults faults_so_far(pid_t pid)
{
	struct faults ret = {0, 0};
	char path[32], line[1024], *at;
	FILE *file = fopen("/proc/vmstat", "re");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "pswpin %" SCNu64, &ret.system);
	if (file)
		fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		die("process %d: no such process", pid);
	/* the 12th value; the second is a name, which may hold blanks */
	at = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %" SCNu64, &ret.qemu) != 1)
		die("process %d: %s cannot be read", pid, path);
	fclose(file);
	return ret;
}

/* Over all blocks, in bytes. */
struct totals {
	uint64_t states[SHMSTATE_STATES];
	uint64_t ranges, went_out, came_in;
	bool stable, first;
};

/* Bytes that are swapped in one map and not in the other. */
static uint64_t swapped_only_in(const struct shmstate_map *map, const struct shmstate_map *other)
{
	struct shmstate_extent extent;
	uint64_t page = 0, ret = 0, i;

	while (shmstate_map_next(map, &page, &extent))
		for (i = 0; extent.state == SHMSTATE_SWAPPED && i < extent.count; i++)
			ret += shmstate_map_get(other, extent.first + i) != SHMSTATE_SWAPPED;
	return ret * shmstate_map_page_size(map);
}

/* Counts, and prints if wanted, the swapped ranges by the guest's address. */
static uint64_t swapped_ranges(const struct memory *m, bool print)
{
	uint64_t page_size = shmstate_map_page_size(m->map), ret = 0;
	size_t i;

	for (i = 0; i < m->block->n_pieces; i++) {
		const struct piece *piece = &m->block->piece[i];
		uint64_t page = piece->offset / page_size,
			 end = (piece->offset + piece->size) / page_size;
		struct shmstate_extent extent;

		while (page < end && shmstate_map_next(m->map, &page, &extent)) {
			uint64_t last = page < end ? page : end, at = extent.first * page_size;
			uint64_t size = (last - extent.first) * page_size;

			if (extent.state != SHMSTATE_SWAPPED)
				continue;
			ret++;
			if (!print)
				continue;
			if (!piece->seen) {
				printf("  swapped, not seen by the guest  %s 0x%" PRIx64
				       "-0x%" PRIx64 "\n",
				       m->block->name, at, at + size - 1);
				continue;
			}
			at += piece->address - piece->offset;
			printf("  swapped  0x%016" PRIx64 "-0x%016" PRIx64 "\n", at, at + size - 1);
		}
	}
	return ret;
}

static void add(struct totals *t, struct memory *m, struct shmstate_map *map)
{
	int state;

	for (state = 0; state < SHMSTATE_STATES; state++)
		t->states[state] += shmstate_map_pages(map, state) * shmstate_map_page_size(map);
	t->stable = t->stable && shmstate_map_is_stable(map);
	t->first = !m->map;
	if (m->map) {
		t->went_out += swapped_only_in(map, m->map);
		t->came_in += swapped_only_in(m->map, map);
		shmstate_map_free(m->map);
	}
	m->map = map;
	t->ranges += swapped_ranges(m, false);
}

static void print_totals(const char *title, const struct totals *t)
{
	const uint64_t *state = t->states;

	printf("%s, %s\n", title, t->stable ? "stable" : "not stable: pages moved meanwhile");
	printf("  can stay on swap      %" PRIu64 " bytes in %" PRIu64 " ranges\n",
	       state[SHMSTATE_SWAPPED], t->ranges);
	printf("  else dragged in       %" PRIu64 " bytes from swap, %" PRIu64
	       " bytes of zeros for holes\n",
	       state[SHMSTATE_SWAPPED], state[SHMSTATE_HOLE]);
	printf("  in RAM                %" PRIu64 " bytes, of which %" PRIu64 " on swap too\n",
	       state[SHMSTATE_ALLOCATED] + state[SHMSTATE_PRESENT] + state[SHMSTATE_SWAP_CACHE] +
		       state[SHMSTATE_IN_CORE],
	       state[SHMSTATE_SWAP_CACHE]);
	if (state[SHMSTATE_POISONED])
		printf("  lost                  %" PRIu64 " bytes\n", state[SHMSTATE_POISONED]);
	if (state[SHMSTATE_UNKNOWN])
		printf("  unknown               %" PRIu64 " bytes\n", state[SHMSTATE_UNKNOWN]);
	if (!t->first)
		printf("  since the last look   %" PRIu64 " bytes went out, %" PRIu64 " came in\n",
		       t->went_out, t->came_in);
}

static void look(struct agent *a, const char *title)
{
	struct faults before = faults_so_far(a->pid), after;
	struct totals totals = {.stable = true};
	size_t i;

	for (i = 0; i < a->blocks.count; i++)
		add(&totals, &a->memory[i], look_at(a, &a->memory[i]));
	after = faults_so_far(a->pid);
	print_totals(title, &totals);
	printf("  swapped in meanwhile  %" PRIu64 " pages in the whole system, %" PRIu64
	       " major faults of QEMU\n",
	       after.system - before.system, after.qemu - before.qemu);
	for (i = 0; a->ranges && i < a->blocks.count; i++)
		swapped_ranges(&a->memory[i], true);
	fflush(stdout);
}

/* Signals wait until the guest runs again. */
static void look_while_stopped(struct agent *a)
{
	sigset_t signals, before;

	sigfillset(&signals);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (qmp_guest_runs(a->qmp)) {
		to_continue = a->qmp;
		qmp_run(a->qmp, "stop");
	}
	look(a, "guest stopped");
	let_continue();
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- the command ---------------------------------------------------------------------------- */

/* Without QMP: one block, and the hole below 4 GiB by rule. */
static void add_pieces_by_rule(struct agent *a, struct memory *m)
{
	uint64_t below = a->below_4g ? a->below_4g : bytes_below_4g(a->pid, m->size);

	block_add_piece(m->block, 0, 0, m->size < below ? m->size : below);
	if (m->size > below)
		block_add_piece(m->block, ABOVE, below, m->size - below);
}

static void find_blocks(struct agent *a)
{
	uint64_t total = 0;
	size_t i, k;

	if (a->qmp)
		qmp_find_blocks(a->qmp, a->pid, &a->blocks);
	else
		strcpy(a->blocks.item[a->blocks.count++].name, "memory-backend-memfd");
	for (i = 0; i < a->blocks.count; i++) {
		struct memory *m = &a->memory[i];

		m->block = &a->blocks.item[i];
		find_object(a, m);
		if (!a->qmp)
			add_pieces_by_rule(a, m);
		block_cover(m->block, m->size);
		total += m->size;
		printf("block %s: object %s, %" PRIu64 " bytes\n", m->block->name, m->object,
		       m->size);
		for (k = 0; k < m->block->n_pieces; k++) {
			const struct piece *piece = &m->block->piece[k];

			if (piece->seen)
				printf("  guest  0x%016" PRIx64 "-0x%016" PRIx64 " is at 0x%" PRIx64
				       "\n",
				       piece->address, piece->address + piece->size - 1,
				       piece->offset);
		}
	}
	printf("QEMU %d: %" PRIu64 " bytes of RAM\n", a->pid, total);
	fflush(stdout);
}

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
	uint64_t ret;
	char *end;

	errno = 0;
	ret = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || ret < least || ret > most)
		die("%s: '%s' is no number from %" PRIu64 " to %" PRIu64, option, text, least,
		    most);
	return ret;
}

static void help(void)
{
	printf("Usage: migration-agent --qmp=PATH | --pid=PID [OPTION...]\n"
	       "Tells what of a QEMU guest's RAM is on swap.\n\n"
	       "  --qmp=PATH          QEMU's QMP socket\n"
	       "  --pid=PID           QEMU's process, if there is no such socket\n"
	       "  --below-4g=BYTES    RAM below 4 GiB, if QEMU cannot be asked\n"
	       "  --socket=PATH       shmstated's socket (default %s)\n"
	       "  --rounds=N          looks while the guest runs (default 1)\n"
	       "  --interval=SECONDS  time between two (default 1)\n"
	       "  --ranges            print the swapped ranges, by guest address\n",
	       DEFAULT_SOCKET);
	exit(0);
}

static void parse_options(struct agent *a, int argc, char **argv)
{
	static const struct option options[] = {
		{"qmp", required_argument, NULL, 'q'},
		{"pid", required_argument, NULL, 'p'},
		{"below-4g", required_argument, NULL, 'b'},
		{"socket", required_argument, NULL, 's'},
		{"rounds", required_argument, NULL, 'r'},
		{"interval", required_argument, NULL, 'i'},
		{"ranges", no_argument, NULL, 'R'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		switch (c) {
		case 'q':
			a->qmp_path = optarg;
			break;
		case 'p':
			a->pid = number("--pid", optarg, 1, INT32_MAX);
			break;
		case 'b':
			a->below_4g = number("--below-4g", optarg, 1, ABOVE);
			break;
		case 's':
			a->socket = optarg;
			break;
		case 'r':
			a->rounds = number("--rounds", optarg, 0, INT32_MAX);
			break;
		case 'i':
			a->interval = number("--interval", optarg, 0, INT32_MAX);
			break;
		case 'R':
			a->ranges = true;
			break;
		case 'h':
			help();
			break;
		case '?':
			exit(1);
		}
	if (optind < argc)
		die("what is '%s'? (migration-agent --help)", argv[optind]);
	if (!a->qmp_path && !a->pid)
		die("say which guest: --qmp=PATH or --pid=PID");
}

int main(int argc, char **argv)
{
	static struct agent agent = {.socket = DEFAULT_SOCKET, .rounds = 1, .interval = 1};
	struct agent *a = &agent;
	char title[32];
	uint64_t turn;
	int ret;

	parse_options(a, argc, argv);
	if (a->qmp_path)
		a->qmp = qmp_open(a->qmp_path);
	if (!a->pid)
		a->pid = qmp_peer(a->qmp);
	ret = shmstate_open(a->socket, &a->service);
	if (ret < 0)
		die("%s: %s", a->socket, strerror(-ret));
	find_blocks(a);
	for (turn = 1; turn <= a->rounds; turn++) {
		if (turn > 1)
			sleep(a->interval);
		snprintf(title, sizeof(title), "look %" PRIu64, turn);
		look(a, title);
	}
	if (a->qmp)
		look_while_stopped(a);
	shmstate_close(a->service);
	return 0;
}
