/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "probe/probe.h"
#include "util/util.h"

extern char **environ;

/* The plain loop: one mapping, one call, one pass over the result. */
static int run_mincore(const struct bench_object *o)
{
	_cleanup_free_ unsigned char *vec = malloc(o->pages);
	uint64_t bytes = o->pages * o->page_size;
	volatile uint64_t in_core = 0;
	void *address = mmap(NULL, bytes, PROT_READ, MAP_SHARED, o->fd, 0);
	int r = 0;

	if (!vec || address == MAP_FAILED)
		return -ENOMEM;
	if (mincore(address, bytes, vec) < 0)
		r = -errno;
	for (uint64_t i = 0; i < o->pages; i++)
		in_core += vec[i] & 1;
	munmap(address, bytes);
	return r;
}

static int run_portable(const struct bench_object *o)
{
	static struct kcaps caps;
	struct probe_request request = {.fd = o->fd, .caps = &caps, .range = PROBE_ALL};
	struct snapshot s = {0};
	int r = 0;

	if (caps.page_size == 0)
		r = kcaps_probe(&caps);
	if (r == 0)
		r = probe_portable(&request, &s);
	snapshot_done(&s);
	return r;
}

static int run_command(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -r;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int run_shmstatectl(const struct bench_object *o)
{
	char pid[16], fd[16], *path = getenv("SHMSTATECTL");
	char *const argv[] = {path ? path : (char *)"shmstatectl",
			      (char *)"dump",
			      (char *)"--pid",
			      pid,
			      (char *)"--fd",
			      fd,
			      NULL};

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(fd, sizeof(fd), "%d", o->fd);
	return run_command(argv);
}

static int run_on_path(const struct bench_object *o, const char *program, const char *option)
{
	char path[64];
	char *const argv[] = {(char *)program, (char *)option, path, NULL};

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), o->fd);
	return run_command(argv);
}

static int run_fincore(const struct bench_object *o)
{
	return run_on_path(o, "fincore", "--bytes");
}

static int run_vmtouch(const struct bench_object *o)
{
	return run_on_path(o, "vmtouch", "-fq");
}

const struct bench_peer bench_peers[] = {
	{"mincore", run_mincore}, {"portable", run_portable}, {"shmstatectl", run_shmstatectl},
	{"fincore", run_fincore}, {"vmtouch", run_vmtouch},
};
const size_t n_bench_peers = ARRAY_SIZE(bench_peers);
