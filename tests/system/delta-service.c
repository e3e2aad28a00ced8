/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "delta-steps.h"

#define PATIENCE_MS 60000

const char *service_program;
char service_socket[128];

static char folder[64], config[128];
static pid_t service;

static void remove_files(void)
{
	if (service > 0)
		kill(service, SIGKILL);
	unlink(config);
	unlink(service_socket);
	rmdir(folder);
}

static void make_files(void)
{
	snprintf(folder, sizeof(folder), "/tmp/shmstate-deltas.XXXXXX");
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		die("%s: %s", folder, strerror(errno));
	snprintf(config, sizeof(config), "%s/shmstated.conf", folder);
	snprintf(service_socket, sizeof(service_socket), "%s/io.shmstate", folder);
	atexit(remove_files);
}

/* Short messages, so that answers are cut. */
static void write_config(const char *history_bytes)
{
	FILE *f = fopen(config, "we");

	if (!f)
		die("%s: %s", config, strerror(errno));
	fprintf(f, "[Service]\nMessageBytes=64K\nHistoryBytes=%s\n", history_bytes);
	if (fclose(f) != 0)
		die("%s: %s", config, strerror(errno));
}

/* What reclaims our memory is not to reclaim the service's. */
static void leave_group(void)
{
	char path[256];
	int fd;

	if (!memory_group)
		return;
	snprintf(path, sizeof(path), "%s/../cgroup.procs", memory_group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) < 0)
		perror(path);
}

static void run(void)
{
	char with_socket[160], with_config[160];

	leave_group();
	snprintf(with_socket, sizeof(with_socket), "--socket=%s", service_socket);
	snprintf(with_config, sizeof(with_config), "--config=%s", config);
	execl(service_program, service_program, with_socket, with_config, (char *)NULL);
	perror(service_program);
	_exit(1);
}

static bool answers(void)
{
	struct shmstate *s;

	if (shmstate_open(service_socket, &s) < 0)
		return false;
	shmstate_close(s);
	return true;
}

void service_start(const char *history_bytes)
{
	uint64_t until = now_ms() + PATIENCE_MS;

	if (folder[0] == '\0')
		make_files();
	write_config(history_bytes);
	service = fork();
	if (service < 0)
		die("fork: %s", strerror(errno));
	if (service == 0)
		run();
	while (!answers()) {
		if (waitpid(service, NULL, WNOHANG) != 0 || now_ms() > until) {
			service = 0;
			die("the service did not come up");
		}
		usleep(20000);
	}
}

void service_stop(void)
{
	int status = 0;

	kill(service, SIGTERM);
	waitpid(service, &status, 0);
	service = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		wrong("told to stop, the service ended with status %#x", (unsigned)status);
}
