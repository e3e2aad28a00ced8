/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "util/file.h"
#include "util/util.h"

/* A line "NAME: NUMBER kB" of such a file. */
static int read_kib(const char *path, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(AT_FDCWD, path, &text);
	const char *line;

	if (n < 0)
		return (int)n;
	line = strstr(text, name);
	if (!line)
		return -ENOENT;
	*ret = strtoull(line + strlen(name), NULL, 10);
	return 0;
}

int bench_available_memory(uint64_t *ret_bytes)
{
	uint64_t kib;
	int r = read_kib("/proc/meminfo", "MemAvailable:", &kib);

	if (r == 0)
		*ret_bytes = kib << 10;
	return r;
}

/* The peak begins anew at what is resident now. */
static int reset_peak(void)
{
	_cleanup_close_ int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "5", 1) != 1 ? -errno : 0;
}

struct growth {
	int error;
	uint64_t kib;
};

static struct growth measure_growth(const struct bench_object *o, const struct bench_peer *peer)
{
	struct page_range all = {.count = o->pages};
	uint64_t before = 0, after = 0;
	struct growth g = {.error = reset_peak()};

	if (g.error == 0)
		g.error = read_kib("/proc/self/status", "VmHWM:", &before);
	if (g.error == 0)
		g.error = peer->run(o, &all);
	if (g.error == 0)
		g.error = read_kib("/proc/self/status", "VmHWM:", &after);
	g.kib = after - before;
	return g;
}

int bench_peak_growth(const struct bench_object *o, const struct bench_peer *peer,
		      uint64_t *ret_kib)
{
	struct growth g = {.error = -EIO};
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		/* a process that has not asked before: nothing that it grew by is reused */
		g = measure_growth(o, peer);
		_exit(write(pipe_fds[1], &g, sizeof(g)) != sizeof(g));
	}
	close(pipe_fds[1]);
	if (pid > 0) {
		if (read(pipe_fds[0], &g, sizeof(g)) != sizeof(g))
			g.error = -EIO;
		waitpid(pid, NULL, 0);
	}
	close(pipe_fds[0]);
	if (g.error == 0)
		*ret_kib = g.kib;
	return g.error;
}
