// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the factory changes in the system, and the guardian that changes it back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmfactory.h"

struct record {
	enum undo what;
	int number;
	char path[256];
	char text[128];
};

static int undo_pipe = -1;
static volatile pid_t guarded;

static void __attribute__((format(printf, 1, 0))) complain(const char *format, va_list ap)
{
	fputs("shmfactory: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
}

void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(format, ap);
	va_end(ap);
	exit(EXIT_FAILURE);
}

void cannot(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(format, ap);
	va_end(ap);
	exit(EXIT_CANNOT);
}

/* ---- the guardian ------------------------------------------------------------------------ */

static void on_signal(int number)
{
	(void)number;
	kill(guarded, SIGKILL);
}

static void undo_group(const char *path)
{
	int tries;

	for (tries = 0; tries < 100 && rmdir(path) < 0 && errno == EBUSY; tries++)
		usleep(20000);
}

static void undo(const struct record *record)
{
	switch (record->what) {
	case UNDO_WRITE:
		if (!write_text(record->path, record->text))
			fprintf(stderr, "shmfactory: %s could not be set back to %s\n",
				record->path, record->text);
		break;
	case UNDO_UMOUNT:
		if (umount2(record->path, 0) < 0)
			umount2(record->path, MNT_DETACH);
		break;
	case UNDO_RMDIR:
		rmdir(record->path);
		break;
	case UNDO_SHMRM:
		shmctl(record->number, IPC_RMID, NULL);
		break;
	case UNDO_GROUP:
		undo_group(record->path);
		break;
	}
}

/* End of file comes when the worker and all of its children, who hold the other end, are gone. */
static void __attribute__((noreturn)) guard(int fd)
{
	struct record *records = NULL;
	size_t count = 0;
	int status;

	for (;;) {
		struct record *more = realloc(records, (count + 1) * sizeof(*records));
		ssize_t got;

		if (!more)
			break;
		records = more;
		got = read(fd, &records[count], sizeof(*records));
		if (got == (ssize_t)sizeof(*records))
			count++;
		else if (got == 0 || errno != EINTR)
			break;
	}
	while (waitpid(guarded, &status, 0) < 0 && errno == EINTR)
		;
	while (count)
		undo(&records[--count]);
	free(records);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/*
 * One factory at a time: a second one would find the first one's settings, and restore those. The
 * lock goes with the last process that has inherited it, the guardian.
 */
static void lock_out_others(void)
{
	int fd = open("/run/lock/shmfactory.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600), tries;

	if (fd < 0)
		cannot("/run/lock/shmfactory.lock: %s", strerror(errno));
	for (tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (tries == 1200)
			cannot("another factory is at work");
		usleep(100000);
	}
}

void guardian_start(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t set, old;
	size_t i;
	int fds[2];

	lock_out_others();
	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	guarded = fork();
	if (guarded < 0)
		die("fork: %s", strerror(errno));
	if (!guarded) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		undo_pipe = fds[1];
		sigprocmask(SIG_SETMASK, &old, NULL);
		return;
	}
	close(fds[1]);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	guard(fds[0]);
}

void undo_later(enum undo what, const char *path, const char *text, int number)
{
	struct record record = {.what = what, .number = number};

	if (path)
		snprintf(record.path, sizeof(record.path), "%s", path);
	if (text)
		snprintf(record.text, sizeof(record.text), "%s", text);
	if (write(undo_pipe, &record, sizeof(record)) != (ssize_t)sizeof(record))
		die("the guardian is gone");
}

pid_t spawn(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* ---- files of the kernel ----------------------------------------------------------------- */

bool read_text(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = 0;

	if (fd < 0)
		return false;
	while (used < size - 1 && (got = read(fd, ret + used, size - 1 - used)) > 0)
		used += got;
	close(fd);
	ret[used] = '\0';
	return got >= 0;
}

bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text));
	close(fd);
	return done == (ssize_t)strlen(text);
}

bool set_knob(const char *path, const char *text)
{
	char old[128], *value = old, *end;

	if (!read_text(path, old, sizeof(old)))
		return false;
	/* "always [madvise] never" */
	if (strchr(old, '[')) {
		value = strchr(old, '[') + 1;
		end = strchr(value, ']');
	} else {
		end = strchr(value, '\n');
	}
	if (end)
		*end = '\0';
	undo_later(UNDO_WRITE, path, value, 0);
	return write_text(path, text);
}

uint64_t vmstat(const char *name)
{
	char text[16384], line[64], *at;

	if (!read_text("/proc/vmstat", text, sizeof(text)))
		die("/proc/vmstat: %s", strerror(errno));
	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(text, line);
	return at ? strtoull(at + strlen(line), NULL, 10) : 0;
}

uint64_t own_major_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_majflt;
}

void counters_print(struct factory *f)
{
	static const char *const names[] = {"pswpin", "pswpout", "pgmajfault", "nr_swapcached"};
	struct rusage usage;
	char ignored[8];
	size_t i;

	/* reading it folds the counters of each processor into the sum */
	read_text("/proc/sys/vm/stat_refresh", ignored, sizeof(ignored));
	printf("counters st_blocks=%llu swapped=%llu", (unsigned long long)object_blocks(f),
	       (unsigned long long)object_swapped(f));
	getrusage(RUSAGE_SELF, &usage);
	printf(" majflt=%ld minflt=%ld", usage.ru_majflt, usage.ru_minflt);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		printf(" %s=%llu", names[i], (unsigned long long)vmstat(names[i]));
	putchar('\n');
}

/* ---- swap -------------------------------------------------------------------------------- */

/* What goes to zswap leaves the swap cache at once, as what goes to zram does. */
static bool zswap_is_on(void)
{
	char text[8];

	return read_text("/sys/module/zswap/parameters/enabled", text, sizeof(text)) &&
	       text[0] == 'Y';
}

void swap_find(struct factory *f)
{
	char name[128], type[32], line[512];
	FILE *file = fopen("/proc/swaps", "re");
	long long size, used;
	int priority, best = -1000;

	f->swap = SWAP_NONE;
	snprintf(f->swap_name, sizeof(f->swap_name), "none");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%127s %31s %lld %lld %d", name, type, &size, &used, &priority) !=
		    5)
			continue;
		if (priority < best)
			continue;
		if (priority == best && f->swap != SWAP_NONE) {
			f->swap = SWAP_MIXED;
			f->swap_is_loop = false;
			continue;
		}
		best = priority;
		f->swap = !strncmp(name, "/dev/zram", 9) || zswap_is_on() ? SWAP_SYNC : SWAP_ASYNC;
		f->swap_is_loop = !strncmp(name, "/dev/loop", 9);
		snprintf(f->swap_name, sizeof(f->swap_name), "%s", name);
	}
	fclose(file);
}

/* ---- a memory cgroup, whose pages alone can be reclaimed ---------------------------------- */

static bool find_home(const char *root, const char *controller, char *ret, size_t size)
{
	char text[4096], *line, *save = NULL;

	if (!read_text("/proc/self/cgroup", text, sizeof(text)))
		return false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *name = strchr(line, ':');
		char *path = name ? strchr(name + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (strcmp(name + 1, controller))
			continue;
		snprintf(ret, size, "%s%s", root, path);
		if (access(ret, F_OK) < 0)
			snprintf(ret, size, "%s", root);
		return true;
	}
	return false;
}

static bool enable_v2(void)
{
	static const char control[] = "/sys/fs/cgroup/cgroup.subtree_control";
	char text[512];

	if (!read_text(control, text, sizeof(text)))
		return false;
	if (strstr(text, "memory"))
		return true;
	if (!write_text(control, "+memory"))
		return false;
	undo_later(UNDO_WRITE, control, "-memory", 0);
	return true;
}

void group_make(struct factory *f)
{
	const char *root = "/sys/fs/cgroup/memory";

	f->group_v1 = access("/sys/fs/cgroup/memory/memory.force_empty", F_OK) == 0;
	if (!f->group_v1) {
		root = "/sys/fs/cgroup";
		if (!enable_v2())
			return;
	}
	if (!find_home(root, f->group_v1 ? "memory" : "", f->home, sizeof(f->home)))
		return;
	snprintf(f->group, sizeof(f->group), "%s/shmfactory.%d", root, getpid());
	if (mkdir(f->group, 0755) < 0)
		f->group[0] = '\0';
	else
		undo_later(UNDO_GROUP, f->group, NULL, 0);
}

static void group_move(const char *group)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	if (!write_text(path, "0"))
		die("%s: %s", path, strerror(errno));
}

void group_enter(struct factory *f)
{
	if (f->group[0])
		group_move(f->group);
}

void group_leave(struct factory *f)
{
	if (f->group[0])
		group_move(f->home);
}

void group_reclaim(struct factory *f)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/%s", f->group,
		 f->group_v1 ? "memory.force_empty" : "memory.reclaim");
	/* fails when something is left, which is usual */
	write_text(path, f->group_v1 ? "0" : "1T");
}

/* ---- a file system of our own -------------------------------------------------------------- */

void tmpfs_mount(struct factory *f, const char *options)
{
	const char *base = getenv("TMPDIR");

	snprintf(f->dir, sizeof(f->dir), "%.80s/shmfactory.XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(f->dir))
		die("%s: %s", f->dir, strerror(errno));
	undo_later(UNDO_RMDIR, f->dir, NULL, 0);
	if (mount("shmfactory", f->dir, "tmpfs", 0, options) < 0)
		cannot("no tmpfs with %s can be mounted: %s", options, strerror(errno));
	undo_later(UNDO_UMOUNT, f->dir, NULL, 0);
}
