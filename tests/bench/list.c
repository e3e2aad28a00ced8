/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding out what shared memory there is: many objects, each held by a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "util/util.h"

#define OBJECT_BYTES (1 << 20)
#define EXIT_INCOMPLETE 3 /* of shmstatectl */

/* Processes that wait for the end of a pipe of which this process alone holds the other end. */
struct holders {
	pid_t *pids;
	unsigned n;
	int hold[2];
	int ready[2];
};

static void close_but(int a, int b)
{
	for (int fd = STDERR_FILENO + 1; fd < 64; fd++)
		if (fd != a && fd != b)
			close(fd);
}

static int hold(const struct holders *h)
{
	char *map, c = 0;
	int fd;

	close_but(h->hold[0], h->ready[1]);
	fd = memfd_create("shmstate-bench-list", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, OBJECT_BYTES) < 0)
		return 1;
	map = mmap(NULL, OBJECT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 1;
	map[0] = 1;
	if (write(h->ready[1], &c, 1) != 1)
		return 1;
	close(h->ready[1]);
	return read(h->hold[0], &c, 1) != 0;
}

static void stop_holders(struct holders *h)
{
	closep(&h->hold[0]);
	closep(&h->hold[1]);
	closep(&h->ready[0]);
	closep(&h->ready[1]);
	for (unsigned i = 0; i < h->n; i++)
		waitpid(h->pids[i], NULL, 0);
	free(h->pids);
}

static int start_holders(struct holders *h, unsigned n)
{
	char c;

	*h = (struct holders){.hold = {-1, -1}, .ready = {-1, -1}};
	h->pids = calloc(n, sizeof(*h->pids));
	if (!h->pids || pipe2(h->hold, O_CLOEXEC) < 0 || pipe2(h->ready, O_CLOEXEC) < 0)
		return -ENOMEM;
	for (; h->n < n; h->n++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (pid == 0)
			_exit(hold(h));
		h->pids[h->n] = pid;
	}
	closep(&h->ready[1]);
	h->ready[1] = -1;
	for (unsigned i = 0; i < n; i++)
		if (read(h->ready[0], &c, 1) != 1)
			return -EIO;
	return 0;
}

/* ---- who lists --------------------------------------------------------------------------------
 */

static int run_list(void)
{
	char *const argv[] = {(char *)bench_shmstatectl(), (char *)"list", NULL};

	/* processes that come and go meanwhile make an answer incomplete, which it says */
	return bench_run_command(argv, EXIT_INCOMPLETE);
}

/* Without BPF: /proc of every process, and the portable probe. */
static int run_list_portable(void)
{
	char *const argv[] = {(char *)bench_shmstatectl(), (char *)"list",
			      (char *)"--probe=portable", NULL};

	return bench_run_command(argv, EXIT_INCOMPLETE);
}

static int run_lsfd(void)
{
	char *const argv[] = {(char *)"lsfd", NULL};

	return bench_run_command(argv, 0);
}

static int run_lsfd_filter(void)
{
	char *const argv[] = {(char *)"lsfd", (char *)"-Q", (char *)"NAME =~ '^/memfd:'", NULL};

	return bench_run_command(argv, 0);
}

static const struct {
	const char *name;
	int (*run)(void);
} listers[BENCH_LISTERS] = {
	{"list", run_list},
	{"list --probe=portable", run_list_portable},
	{"lsfd", run_lsfd},
	{"lsfd -Q memfd", run_lsfd_filter},
};

static void measure(struct bench_list *l, unsigned rounds)
{
	double times[BENCH_LISTERS][BENCH_ROUNDS_MAX];

	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < BENCH_LISTERS; i++) {
			double start = bench_now_ms();

			if (l->results[i].error)
				continue;
			l->results[i].error = listers[i].run();
			times[i][l->results[i].rounds++] = bench_now_ms() - start;
		}
	}
	for (size_t i = 0; i < BENCH_LISTERS; i++)
		if (l->results[i].error == 0)
			l->results[i].ms = bench_median(times[i], l->results[i].rounds);
}

void bench_list(unsigned objects, unsigned rounds, struct bench_list *ret)
{
	struct holders h;

	*ret = (struct bench_list){.objects = objects};
	for (size_t i = 0; i < BENCH_LISTERS; i++)
		ret->names[i] = listers[i].name;
	ret->error = start_holders(&h, objects);
	if (ret->error == 0)
		measure(ret, rounds);
	stop_holders(&h);
}
