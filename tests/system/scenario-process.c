// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs that are run: the factory, and shmstatectl.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenarios.h"

static void read_all(int fd, struct output *ret)
{
	size_t room = 1 << 16;
	ssize_t got;

	ret->text = malloc(room);
	while (ret->text && (got = read(fd, ret->text + ret->size, room - ret->size - 1)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		ret->size += got;
		if (ret->size + 1 == room)
			ret->text = realloc(ret->text, room *= 2);
	}
	if (!ret->text)
		abort();
	ret->text[ret->size] = '\0';
}

/* Standard error goes to a file without a name, so that one pipe is enough. */
void run_program(char *const argv[], struct output *ret)
{
	FILE *errors = tmpfile();
	struct rusage usage;
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	memset(ret, 0, sizeof(*ret));
	if (!errors || pipe2(fds, O_CLOEXEC) < 0)
		abort();
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		dup2(fileno(errors), 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	read_all(fds[0], ret);
	close(fds[0]);
	while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
		;
	ret->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	ret->major_faults = usage.ru_majflt;
	got = pread(fileno(errors), ret->errors, sizeof(ret->errors) - 1, 0);
	ret->errors[got > 0 ? got : 0] = '\0';
	ret->errors[strcspn(ret->errors, "\n")] = '\0';
	fclose(errors);
}

void output_free(struct output *output)
{
	free(output->text);
	output->text = NULL;
}

/* ---- the factory ------------------------------------------------------------------------- */

static void __attribute__((noreturn))
exec_factory(const int to[2], const int from[2], char *const argv[])
{
	/* a group of its own tells its processes from all others */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(to[0], 0);
	dup2(from[1], 1);
	dup2(from[1], 2);
	execv(argv[0], argv);
	_exit(127);
}

int factory_start(struct factory *f, const char *path, const char *scenario, const char *pages,
		  const char *expect_path)
{
	char *argv[] = {(char *)path,
			(char *)scenario,
			"--expect",
			(char *)expect_path,
			pages ? "--pages" : NULL,
			(char *)pages,
			NULL};
	int to[2], from[2], status;

	memset(f, 0, sizeof(*f));
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		abort();
	fflush(stdout);
	f->pid = fork();
	if (!f->pid)
		exec_factory(to, from, argv);
	setpgid(f->pid, f->pid);
	close(to[0]);
	close(from[1]);
	f->to = fdopen(to[1], "we");
	f->from = fdopen(from[0], "re");
	if (fgets(f->line, sizeof(f->line), f->from) && !strncmp(f->line, "ready ", 6))
		return 0;
	f->line[strcspn(f->line, "\n")] = '\0';
	fclose(f->to);
	fclose(f->from);
	while (waitpid(f->pid, &status, 0) < 0 && errno == EINTR)
		;
	f->pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : FACTORY_FAILED;
}

bool factory_command(struct factory *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(f->to, format, ap);
	va_end(ap);
	fputc('\n', f->to);
	fflush(f->to);
	return fgets(f->line, sizeof(f->line), f->from) && strncmp(f->line, "error", 5) &&
	       strncmp(f->line, "shmfactory:", 11);
}

void factory_stop(struct factory *f)
{
	int status;

	if (!f->pid)
		return;
	fputs("quit\n", f->to);
	fclose(f->to);
	while (fgets(f->line, sizeof(f->line), f->from))
		;
	fclose(f->from);
	while (waitpid(f->pid, &status, 0) < 0 && errno == EINTR)
		;
	f->pid = 0;
}

bool field(const char *line, const char *key, char *ret, size_t size)
{
	size_t length = strlen(key);
	const char *at = line;

	while ((at = strstr(at, key))) {
		if (at > line && at[-1] == ' ' && at[length] == '=') {
			/* a path is the last and may have spaces */
			snprintf(ret, size, "%.*s",
				 (int)strcspn(at + length + 1, strcmp(key, "path") ? " \n" : "\n"),
				 at + length + 1);
			return true;
		}
		at += length;
	}
	return false;
}

int64_t field_number(const char *line, const char *key, int64_t def)
{
	char text[64];

	return field(line, key, text, sizeof(text)) ? strtoll(text, NULL, 0) : def;
}

/* ---- who holds it ------------------------------------------------------------------------ */

static bool holds_descriptor(pid_t pid, const char *id)
{
	char path[64], text[64];
	struct dirent *entry;
	bool ret = false;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && !ret && (entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			continue;
		snprintf(text, sizeof(text), "%02x:%02x:%llu", major(st.st_dev), minor(st.st_dev),
			 (unsigned long long)st.st_ino);
		ret = !strcmp(text, id);
	}
	if (dir)
		closedir(dir);
	return ret;
}

static bool maps_object(pid_t pid, const char *id)
{
	char path[64], line[4352], device[32], text[64];
	unsigned long long inode;
	bool ret = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && !ret && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%*s %*s %*s %31s %llu", device, &inode) != 2)
			continue;
		snprintf(text, sizeof(text), "%s:%llu", device, inode);
		ret = !strcmp(text, id);
	}
	if (maps)
		fclose(maps);
	return ret;
}

int count_strangers(pid_t group, const char *id, char *ret_who, size_t size)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	ret_who[0] = '\0';
	while (proc && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (!isdigit((unsigned char)entry->d_name[0]) || getpgid(pid) == group)
			continue;
		if (!holds_descriptor(pid, id) && !maps_object(pid, id))
			continue;
		snprintf(ret_who, size, "process %d", pid);
		count++;
	}
	if (proc)
		closedir(proc);
	return count;
}
