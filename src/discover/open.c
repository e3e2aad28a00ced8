/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "discover/open.h"
#include "probe/generation.h"
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

/*
 * A segment that nobody has attached has no link anywhere. Attaching it, read-only and without
 * touching it, for a moment, gives one. (The kernel notes the time and our pid in the segment.)
 */
static int open_sysv(const struct discovery *d, const struct object *o)
{
	void *address = shmat((int)o->id.ino, NULL, SHM_RDONLY);
	uint64_t length =
		(o->size + d->caps->page_size - 1) / d->caps->page_size * d->caps->page_size;
	int fd;

	if (address == (void *)-1)
		return errno == EINVAL || errno == EIDRM ? -ENOENT : -errno;
	fd = open_map_files(d->proc_fd, "self", (uintptr_t)address, (uintptr_t)address + length, o);
	shmdt(address);
	return fd;
}

/* The more telling of two failures: barred says more than gone. */
static int worse(int a, int b)
{
	if (a == -EPERM || a == -EACCES)
		return -EACCES;
	return b == -EPERM ? -EACCES : b;
}

int object_open(const struct discovery *d, const struct object *o)
{
	int r = -ENOENT, fd;

	if (!object_kind_is_swappable(o->kind))
		return -EOPNOTSUPP;
	for (size_t i = 0; i < o->n_holders; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%d/fd/%d", (int)o->holders[i].pid, o->holders[i].fd);
		fd = open_verified(d->proc_fd, path, o);
		if (fd >= 0)
			return fd;
		r = worse(r, fd);
	}
	for (size_t i = 0; i < o->n_mappers; i++) {
		char process[16];

		snprintf(process, sizeof(process), "%d", (int)o->mappers[i].pid);
		fd = open_map_files(d->proc_fd, process, o->mappers[i].start, o->mappers[i].end, o);
		if (fd >= 0)
			return fd;
		r = worse(r, fd);
	}
	if (o->kind == OBJECT_SYSV && o->n_mappers == 0)
		return open_sysv(d, o);
	if (o->kind == OBJECT_TMPFS && !o->deleted && o->name) {
		fd = open_verified(AT_FDCWD, o->name, o);
		return fd >= 0 ? fd : worse(r, fd);
	}
	return r;
}
