// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One object of each kind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shmfactory.h"

const char *kind_name(enum object_kind kind)
{
	switch (kind) {
	case KIND_MEMFD:
		return "memfd";
	case KIND_TMPFS:
		return "tmpfs";
	case KIND_DELETED:
		return "deleted";
	case KIND_SYSV:
		return "sysv";
	case KIND_ANON:
		return "anon";
	case KIND_HUGETLB:
		return "hugetlb";
	case KIND_SECRETMEM:
		return "secretmem";
	case KIND_GUEST_MEMFD:
		return "guest_memfd";
	}
	return "?";
}

/*
 * The id comes from a stat of a descriptor or, where there is none, from the line of the mapping
 * in /proc/self/maps.
 */
static void find_id(struct object *o)
{
	char line[512];
	struct stat st;
	FILE *maps;

	if (o->fd >= 0) {
		if (fstat(o->fd, &st) < 0)
			die("fstat: %s", strerror(errno));
		o->major = major(st.st_dev);
		o->minor = minor(st.st_dev);
		o->inode = st.st_ino;
		return;
	}
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		uint64_t start, end, offset, inode;
		unsigned major_nr, minor_nr;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64, &start,
			   &end, &offset, &major_nr, &minor_nr, &inode) != 6 ||
		    start != (uintptr_t)o->address)
			continue;
		o->major = major_nr;
		o->minor = minor_nr;
		o->inode = inode;
		break;
	}
	if (maps)
		fclose(maps);
}

static uint64_t pages_of(const struct factory *f, uint64_t size)
{
	return (size + f->page_size - 1) / f->page_size;
}

void object_adopt(struct factory *f, enum object_kind kind, int fd, uint64_t size)
{
	struct object *o = &f->object;

	o->kind = kind;
	o->fd = fd;
	o->own_fd = -1;
	o->size = size;
	o->pages = pages_of(f, size);
	expect_init(&o->expect, o->pages);
	find_id(o);
}

void object_resized(struct factory *f, uint64_t size)
{
	f->object.size = size;
	f->object.pages = pages_of(f, size);
	expect_resize(&f->object.expect, f->object.pages);
}

static int create_file(struct factory *f, bool deleted)
{
	int fd;

	if (!f->dir[0])
		tmpfs_mount(f, "mode=0700");
	snprintf(f->path, sizeof(f->path), "%s/a file", f->dir);
	fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die("%s: %s", f->path, strerror(errno));
	if (!deleted)
		return fd;
	unlink(f->path);
	f->path[0] = '\0';
	return fd;
}

static void create_sysv(struct factory *f, uint64_t size)
{
	struct object *o = &f->object;

	o->shmid = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
	if (o->shmid < 0)
		die("shmget: %s", strerror(errno));
	undo_later(UNDO_SHMRM, NULL, NULL, o->shmid);
	o->address = shmat(o->shmid, NULL, 0);
	if (o->address == (void *)-1)
		die("shmat: %s", strerror(errno));
	o->mapped = pages_of(f, size) * f->page_size;
}

static void create_anon(struct factory *f, uint64_t size)
{
	struct object *o = &f->object;

	o->mapped = pages_of(f, size) * f->page_size;
	o->address =
		mmap(NULL, o->mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (o->address == MAP_FAILED)
		die("mmap: %s", strerror(errno));
}

void object_create(struct factory *f, enum object_kind kind, uint64_t size)
{
	int fd = -1;

	switch (kind) {
	case KIND_MEMFD:
		fd = memfd_create("shmfactory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0)
			die("memfd_create: %s", strerror(errno));
		break;
	case KIND_TMPFS:
	case KIND_DELETED:
		fd = create_file(f, kind == KIND_DELETED);
		break;
	case KIND_SYSV:
		create_sysv(f, size);
		break;
	case KIND_ANON:
		create_anon(f, size);
		break;
	case KIND_HUGETLB:
	case KIND_SECRETMEM:
	case KIND_GUEST_MEMFD:
		die("%s is adopted, not created", kind_name(kind));
	}
	if (fd >= 0 && ftruncate(fd, size) < 0)
		die("ftruncate to %" PRIu64 ": %s", size, strerror(errno));
	object_adopt(f, kind, fd, size);
	object_map(f);
}

void object_map(struct factory *f)
{
	struct object *o = &f->object;
	size_t length = o->pages * f->page_size;

	if (o->address || !length || o->fd < 0)
		return;
	o->address =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, o->fd, 0);
	if (o->address == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	o->mapped = length;
}

int open_mapping(pid_t pid, const char *address, size_t length, int flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, (unsigned long)address,
		 (unsigned long)(address + length));
	return open(path, flags | O_CLOEXEC);
}

int object_own_fd(struct factory *f)
{
	struct object *o = &f->object;
	char path[64];

	if (o->own_fd >= 0)
		return o->own_fd;
	if (o->fd >= 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
		/* read only: a mapping for reading must be possible whatever the seals */
		o->own_fd = open(path, O_RDONLY | O_CLOEXEC);
	} else {
		o->own_fd = open_mapping(getpid(), o->address, o->mapped, O_RDWR);
	}
	if (o->own_fd < 0)
		die("the object cannot be opened a second time: %s", strerror(errno));
	return o->own_fd;
}

/* So that, between commands, the object has no descriptor but what its kind has. */
void object_close_own_fd(struct factory *f)
{
	if (f->object.own_fd >= 0)
		close(f->object.own_fd);
	f->object.own_fd = -1;
}

uint64_t object_blocks(struct factory *f)
{
	struct stat st;

	if (fstat(object_own_fd(f), &st) < 0)
		die("fstat: %s", strerror(errno));
	return st.st_blocks;
}

/*
 * The count that smaps gives for a mapping of the whole object, in pages. The kernel takes it
 * from the inode, without looking at pages.
 */
uint64_t object_swapped(struct factory *f)
{
	struct object *o = &f->object;
	size_t length = o->pages * f->page_size;
	unsigned long long start, end, kib;
	bool ours = false;
	uint64_t ret = 0;
	char line[512];
	FILE *smaps;
	char *map;

	if (!length || o->kind >= KIND_HUGETLB)
		return 0;
	map = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_NORESERVE, object_own_fd(f), 0);
	if (map == MAP_FAILED)
		die("mmap of the whole object: %s", strerror(errno));
	smaps = fopen("/proc/self/smaps", "re");
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			ours = start == (uintptr_t)map;
		else if (ours && sscanf(line, "Swap: %llu kB", &kib) == 1)
			ret = kib * 1024 / f->page_size;
	}
	if (smaps)
		fclose(smaps);
	munmap(map, length);
	return ret;
}
