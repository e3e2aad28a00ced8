/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "discover/maps.h"
#include "discover/open.h"
#include "discover/target.h"
#include "probe/generation.h"
#include "util/file.h"
#include "util/parse.h"
#include "util/stop.h"
#include "util/util.h"

/* A number of a process or descriptor can be used again: is this still the object? */
static int verify(int fd, const struct object *o)
{
	struct object_id id = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	id.dev = st.st_dev;
	id.ino = st.st_ino;
	id.have_generation = generation_of_fd(fd, &id.generation) == 0;
	return object_id_match(&id, &o->id) ? 0 : -ENOENT;
}

/*
 * Opens through a link, but only what is a regular file: opening a device or a pipe does things.
 * O_NONBLOCK: a lease of the holder's must not make us wait.
 */
static int open_verified(int dirfd, const char *path, const struct object *o)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, path, &st, 0) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_dev != o->id.dev || st.st_ino != o->id.ino)
		return -ENOENT;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = verify(fd, o);
	return r < 0 ? r : TAKE_FD(fd);
}

static int open_map_files(int dirfd, const char *process, uint64_t start, uint64_t end,
			  const struct object *o)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/map_files/%llx-%llx", process, (unsigned long long)start,
		 (unsigned long long)end);
	return open_verified(dirfd, path, o);
}

/* With kernel.shm_rmid_forced a segment goes when its last attachment does, be it ours. */
static bool is_removed_with_us(void)
{
	_cleanup_free_ char *forced = NULL;

	return file_read_at(AT_FDCWD, "/proc/sys/kernel/shm_rmid_forced", &forced) <= 0 ||
	       forced[0] != '0';
}

/* Our own mapping at address: a segment of huge pages is longer than its size, and no shmem. */
static int find_own_mapping(const struct discovery *d, const void *address, struct map_line *ret)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(d->proc_fd, "self/maps", &text);
	char *line, *rest = text;

	if (n < 0)
		return (int)n;
	while ((line = strsep(&rest, "\n")))
		if (map_line_parse(line, ret) == 0 && ret->start == (uintptr_t)address) {
			ret->path = NULL;
			return ret->dev == d->caps->shmem_dev ? 0 : -EOPNOTSUPP;
		}
	return -ENOENT;
}

/*
 * A segment that nobody has attached has no link anywhere. Attaching it, read-only and without
 * touching it, for a moment, gives one. (The kernel notes the time and our pid in the segment.)
 */
static int open_sysv(const struct discovery *d, const struct object *o)
{
	struct map_line m;
	void *address;
	int r;

	if (is_removed_with_us())
		return -EBUSY;
	address = shmat((int)o->id.ino, NULL, SHM_RDONLY);
	if (address == (void *)-1)
		return errno == EINVAL || errno == EIDRM ? -ENOENT : -errno;
	r = find_own_mapping(d, address, &m);
	if (r >= 0)
		r = open_map_files(d->proc_fd, "self", m.start, m.end, o);
	shmdt(address);
	return r;
}

enum lease {
	LEASE_NONE,
	LEASE_READ, /* opening for reading does not break it */
	LEASE_WRITE,
};

/* "lock:\t1: LEASE  ACTIVE    WRITE 4711 00:1b:47 0 EOF" */
static enum lease lease_of_holder(const struct discovery *d, const struct object_holder *holder)
{
	_cleanup_free_ char *text = NULL;
	enum lease lease = LEASE_NONE;
	char *line, *rest, path[64];

	snprintf(path, sizeof(path), "%d/fdinfo/%d", (int)holder->pid, holder->fd);
	if (file_read_at(d->proc_fd, path, &text) < 0)
		return LEASE_NONE;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (strstr(line, ": LEASE "))
			lease = strstr(line, " WRITE ") ? LEASE_WRITE : MAX(lease, LEASE_READ);
	return lease;
}

/*
 * Opening a file breaks a write lease on it, even if it does not wait: the holder gets a signal,
 * and loses the lease. Who has a write lease is the only one to have the file open, so that any
 * holder's fdinfo shows it. (/proc/locks has it too, but to read that stops all file locking of the
 * system for a while.) The iterators show whether there is any lease, that of a thread with
 * descriptors of its own or of a descriptor that was closed too: without them such go unseen.
 */
static bool has_write_lease(const struct discovery *d, const struct object *o)
{
	size_t n = o->leased ? o->n_holders : MIN(o->n_holders, (size_t)1);
	enum lease lease = LEASE_NONE;

	for (size_t i = 0; i < n && lease != LEASE_WRITE; i++)
		lease = MAX(lease, lease_of_holder(d, &o->holders[i]));
	return lease == LEASE_WRITE || (o->leased && lease == LEASE_NONE);
}

/* The more telling of two failures: barred says more than gone. */
static int worse(int a, int b)
{
	if (a == -EPERM || a == -EACCES)
		return -EACCES;
	return b == -EPERM ? -EACCES : b;
}

/* Through what a process, or one of its threads, has in its descriptors; tid: either number. */
static int open_holder(const struct discovery *d, const struct object *o, pid_t tid, int n)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/fd/%d", (int)tid, n);
	return open_verified(d->proc_fd, path, o);
}

static int open_mapper(const struct discovery *d, const struct object *o, pid_t tid,
		       const struct object_mapper *m)
{
	char process[16];

	snprintf(process, sizeof(process), "%d", (int)tid);
	return open_map_files(d->proc_fd, process, m->start, m->end, o);
}

/*
 * /proc/PID shows what the first thread has, and nothing if that has exited. Other threads have
 * folders too; they are not listed, but can be named. holder or mapper may be NULL.
 */
static int open_by_threads(const struct discovery *d, const struct object *o, pid_t pid,
			   const struct object_holder *holder, const struct object_mapper *mapper)
{
	struct dirent *entry;
	int fd, r = -ENOENT;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "%d/task", (int)pid);
	fd = openat(d->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r < 0 && (entry = readdir(dir))) {
		int tid;

		if (parse_int(entry->d_name, 1, &tid) < 0 || tid == pid)
			continue;
		r = holder ? open_holder(d, o, tid, holder->fd) : open_mapper(d, o, tid, mapper);
	}
	closedir(dir);
	return r;
}

static int open_by_processes(const struct discovery *d, const struct object *o)
{
	int r = -ENOENT, fd;

	for (size_t i = 0; i < o->n_holders; i++) {
		fd = open_holder(d, o, o->holders[i].pid, o->holders[i].fd);
		if (fd >= 0)
			return fd;
		r = worse(r, fd);
	}
	for (size_t i = 0; i < o->n_mappers; i++) {
		fd = open_mapper(d, o, o->mappers[i].pid, &o->mappers[i]);
		if (fd >= 0)
			return fd;
		r = worse(r, fd);
	}
	/* Only the iterators know of what the first thread does not have. */
	if (d->way != DISCOVER_ITERATORS)
		return r;
	for (size_t i = 0; i < o->n_holders; i++) {
		fd = open_by_threads(d, o, o->holders[i].pid, &o->holders[i], NULL);
		if (fd >= 0)
			return fd;
	}
	for (size_t i = 0; i < o->n_mappers; i++) {
		fd = open_by_threads(d, o, o->mappers[i].pid, NULL, &o->mappers[i]);
		if (fd >= 0)
			return fd;
	}
	return r;
}

/* By now the name may lead anywhere, even to where nobody answers. */
static int open_named(const struct discovery *d, const struct object *o)
{
	_cleanup_(target_done) struct target t = {.fd = -1};
	char path[32];
	int r = target_find_by(d->finder, o->name, &t);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "self/fd/%d", t.fd);
	return t.st.st_dev == o->id.dev ? open_verified(d->proc_fd, path, o) : -ENOENT;
}

int object_open(const struct discovery *d, const struct object *o)
{
	int r, fd;

	if (!object_kind_is_swappable(o->kind))
		return -EOPNOTSUPP;
	if (o->barred)
		return -EACCES;
	if (has_write_lease(d, o))
		return -EAGAIN;
	r = open_by_processes(d, o);
	if (r >= 0)
		return r;
	if (o->kind == OBJECT_SYSV && o->n_mappers == 0)
		return open_sysv(d, o);
	if (o->kind == OBJECT_TMPFS && !o->deleted && o->name) {
		fd = open_named(d, o);
		return fd >= 0 || stop_is_error(fd) ? fd : worse(r, fd);
	}
	return r;
}
