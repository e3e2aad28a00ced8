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
#include "probe/cachestat.h"
#include "probe/probe.h"
#include "util/util.h"

/* Larger objects take so long that a part must do: 16 GiB. */
#define SAMPLE_LARGE ((uint64_t)4 << 20)
#define SAMPLE_CALLS 65536

/* The plain loop: one mapping, one call, one pass over the result. */
static int run_mincore(const struct bench_object *o, const struct page_range *part)
{
	_cleanup_free_ unsigned char *vec = malloc(part->count);
	uint64_t bytes = part->count * o->page_size;
	volatile uint64_t in_core = 0;
	void *address = mmap(NULL, bytes, PROT_READ, MAP_SHARED, o->fd,
			     (off_t)(part->first * o->page_size));
	int r = 0;

	if (!vec || address == MAP_FAILED)
		return -ENOMEM;
	if (mincore(address, bytes, vec) < 0)
		r = -errno;
	for (uint64_t i = 0; i < part->count; i++)
		in_core += vec[i] & 1;
	munmap(address, bytes);
	return r;
}

/* Of the mapping that has page table entries for all that is present. */
static int run_pagemap(const struct bench_object *o, const struct page_range *part)
{
	static uint64_t words[(1 << 20) / sizeof(uint64_t)];
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t at = (off_t)(((uintptr_t)o->address / o->page_size + part->first) * sizeof(*words));
	uint64_t left = part->count * sizeof(*words);
	volatile uint64_t present = 0;

	if (fd < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = pread(fd, words, MIN(left, sizeof(words)), at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)n / sizeof(*words); i++)
			present += words[i] >> 63;
		left -= (uint64_t)n;
		at += n;
	}
	return 0;
}

/* The only other way to tell present from swap cache: one call a page. */
static int run_cachestat(const struct bench_object *o, const struct page_range *part)
{
	volatile uint64_t folios = 0;
	struct slot_counts counts;
	int r = 0;

	for (uint64_t i = 0; i < part->count && r == 0; i++) {
		r = cachestat_count(o->fd, o->page_size, part->first + i, 1, &counts);
		if (r == 0)
			folios += counts.folios;
	}
	return r;
}

static int run_portable(const struct bench_object *o, const struct page_range *part)
{
	static struct kcaps caps;
	struct probe_request request = {.fd = o->fd, .caps = &caps, .range = *part};
	struct snapshot s = {0};
	int r = 0;

	if (caps.page_size == 0)
		r = kcaps_probe(&caps);
	if (r == 0)
		r = probe_portable(&request, &s);
	snapshot_done(&s);
	return r;
}

int bench_run_command(char *const argv[], int fine)
{
	posix_spawn_file_actions_t actions;
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (fine)
		posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -r;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	if (!WIFEXITED(status))
		return -EIO;
	return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == fine ? 0 : -EIO;
}

const char *bench_shmstatectl(void)
{
	const char *path = getenv("SHMSTATECTL");

	return path ? path : "shmstatectl";
}

static int run_dump(const struct bench_object *o, const struct page_range *part)
{
	char pid[24], fd[24];
	char *const argv[] = {(char *)bench_shmstatectl(),
			      (char *)"dump",
			      (char *)"--state=swapped",
			      (char *)"--format=bitmap",
			      pid,
			      fd,
			      NULL};

	(void)part;
	snprintf(pid, sizeof(pid), "--pid=%d", (int)getpid());
	snprintf(fd, sizeof(fd), "--fd=%d", o->fd);
	return bench_run_command(argv, 0);
}

static void object_path(const struct bench_object *o, char *ret, size_t size)
{
	snprintf(ret, size, "/proc/%d/fd/%d", (int)getpid(), o->fd);
}

static int run_fincore(const struct bench_object *o, const struct page_range *part)
{
	char path[64];
	char *const argv[] = {(char *)"fincore", (char *)"--bytes", path, NULL};

	(void)part;
	object_path(o, path, sizeof(path));
	return bench_run_command(argv, 0);
}

static int run_vmtouch(const struct bench_object *o, const struct page_range *part)
{
	char path[64], range[64];
	char *const argv[] = {(char *)"vmtouch", (char *)"-fqp", range, path, NULL};

	object_path(o, path, sizeof(path));
	snprintf(range, sizeof(range), "%llu-%llu",
		 (unsigned long long)(part->first * o->page_size),
		 (unsigned long long)((part->first + part->count) * o->page_size));
	return bench_run_command(argv, 0);
}

const struct bench_peer bench_peers[] = {
	[PEER_EXACT] = {"probe", bench_run_exact, 0},
	[PEER_DUMP] = {"dump", run_dump, 0},
	[PEER_PORTABLE] = {"portable", run_portable, 0},
	[PEER_SERVICE] = {"service", bench_run_service, 0},
	{"mincore", run_mincore, SAMPLE_LARGE},
	{"fincore", run_fincore, 0},
	{"vmtouch", run_vmtouch, SAMPLE_LARGE},
	{"pagemap", run_pagemap, SAMPLE_LARGE},
	{"cachestat", run_cachestat, SAMPLE_CALLS},
};
const size_t n_bench_peers = ARRAY_SIZE(bench_peers);
