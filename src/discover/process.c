/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "discover/discover.h"
#include "discover/maps.h"
#include "probe/generation.h"
#include "util/file.h"
#include "util/parse.h"
#include "util/util.h"

/* From the kernel's linux/sched.h; it is in the "flags" of /proc/PID/stat. */
#define PF_KTHREAD 0x00200000

/* A process under way. */
struct process {
	struct discovery *discovery;
	pid_t pid;
	int dir_fd; /* /proc/PID */
	bool denied;
};

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH;
}

/* Failures of our own, that must not pass for "closed meanwhile". */
static bool is_ours(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static bool is_denied(int error)
{
	return error == -EACCES || error == -EPERM;
}

/* Everybody may ask this of everybody. Kernel threads hold and map nothing. */
static bool is_kernel_thread(int dir_fd)
{
	_cleanup_free_ char *stat = NULL;
	unsigned flags = 0;
	const char *p;

	if (file_read_at(dir_fd, "stat", &stat) < 0)
		return false;
	p = strrchr(stat, ')'); /* the command's name may hold anything */
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		return false;
	return flags & PF_KTHREAD;
}

/*
 * Attributes as the kernel has them at hand: a file system whose server is dead (FUSE, NFS) must
 * not keep us waiting.
 */
static int stat_locally(int dirfd, const char *path, struct stat *ret)
{
	struct statx x;

	if (statx(dirfd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x) < 0)
		return -errno;
	*ret = (struct stat){
		.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.st_ino = x.stx_ino,
		.st_mode = x.stx_mode,
		.st_nlink = x.stx_nlink,
		.st_size = (off_t)x.stx_size,
		.st_blksize = (blksize_t)x.stx_blksize,
	};
	return 0;
}

/*
 * Of a device not seen before: is it worth asking statfs, which would wait for a dead server too?
 * tmpfs gives handles of its own form; the others have none, but their blocks are huge or their
 * names tell.
 */
static bool may_be_shmem(int dirfd, const char *path, const char *text, const struct stat *st)
{
	uint32_t generation;

	if (generation_of_path(dirfd, path, &generation) == 0)
		return true;
	return st->st_blksize >= 1 << 20 || strstr(text, "kvm-gmem") ||
	       strncmp(text, "/secretmem", strlen("/secretmem")) == 0;
}

/*
 * Fills a sighting in from the link at path (below the process's directory) that leads to the
 * object. Returns 1 if it is shared memory, 0 if not, or a negative errno.
 */
static int sight_link(struct process *p, const char *path, const char *text, struct sighting *ret)
{
	struct discovery *d = p->discovery;
	const struct device *device;
	struct sighting s = {.link = text};
	struct stat st;
	int r;

	r = stat_locally(p->dir_fd, path, &st);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return 0;
	if (!device_known(&d->devices, st.st_dev) && !may_be_shmem(p->dir_fd, path, text, &st))
		return 0;
	r = device_find(&d->devices, st.st_dev, p->dir_fd, path, &device);
	if (r < 0)
		return r;
	r = device_object_kind(device, d->caps->shmem_dev, text);
	if (r < 0)
		return 0;
	s.kind = (enum object_kind)r;
	s.id = (struct object_id){.dev = st.st_dev, .ino = st.st_ino};
	s.id.have_generation = generation_of_path(p->dir_fd, path, &s.id.generation) == 0;
	s.have_size = true;
	s.size = (uint64_t)st.st_size;
	s.deleted = s.kind == OBJECT_TMPFS && st.st_nlink == 0;
	s.page_size = s.kind == OBJECT_HUGETLB ? device->block_size : d->caps->page_size;
	*ret = s;
	return 1;
}

static int note_holder(struct process *p, const char *name)
{
	struct object_holder holder = {.pid = p->pid};
	_cleanup_free_ char *text = NULL;
	char path[32];
	struct sighting s;
	struct object *o;
	struct stat st;
	int r;

	if (parse_int(name, 0, &holder.fd) < 0)
		return 0;
	snprintf(path, sizeof(path), "fd/%d", holder.fd);
	/* Most descriptors are something else: find out by one call. */
	r = stat_locally(p->dir_fd, path, &st);
	if (r < 0) {
		p->denied |= is_denied(r);
		return is_ours(r) ? r : 0;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	r = link_read_at(p->dir_fd, path, &text);
	if (r >= 0)
		r = sight_link(p, path, text, &s);
	if (r <= 0)
		return is_ours(r) ? r : 0; /* closed meanwhile, or not shared memory */
	r = discovery_note(p->discovery, &s, &o);
	return r < 0 ? r : object_add_holder(o, &holder);
}

static int discover_holders(struct process *p)
{
	int fd = openat(p->dir_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -errno;
	}
	errno = 0;
	while (r >= 0 && (entry = readdir(dir)))
		r = note_holder(p, entry->d_name);
	closedir(dir);
	return r;
}

/*
 * Without the privilege to follow map_files: a mapping of the kernel's own shmem mount is known by
 * its device, a file by its path as the process sees it, if that still is the same file.
 */
static int sight_unprivileged(struct process *p, const struct map_line *m, struct sighting *ret)
{
	struct device internal = {.dev = p->discovery->caps->shmem_dev, .magic = 0x01021994};
	char path[PATH_MAX + 8];
	struct stat st;

	if (m->dev == internal.dev) {
		*ret = (struct sighting){
			.id = {.dev = m->dev, .ino = m->ino},
			.kind = (enum object_kind)device_object_kind(&internal, internal.dev,
								     m->path),
			.link = m->path,
			.page_size = p->discovery->caps->page_size,
		};
		return 1;
	}
	if (snprintf(path, sizeof(path), "root%s", m->path) >= (int)sizeof(path))
		return -EPERM;
	if (stat_locally(p->dir_fd, path, &st) < 0 || st.st_dev != m->dev || st.st_ino != m->ino)
		return -EPERM;
	return sight_link(p, path, m->path, ret);
}

static int note_mapper(struct process *p, struct map_line *m)
{
	struct object_mapper mapper = {
		.pid = p->pid,
		.start = m->start,
		.end = m->end,
		.offset = m->offset,
		.shared = m->shared,
	};
	_cleanup_free_ char *text = NULL;
	char path[64];
	struct sighting s;
	struct object *o;
	int r;

	snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)m->start,
		 (unsigned long long)m->end);
	map_path_unescape(m->path);
	/* The link is exact where maps is escaped; reading it takes less than following it. */
	r = link_read_at(p->dir_fd, path, &text);
	r = sight_link(p, path, r < 0 ? m->path : text, &s);
	if (is_denied(r))
		r = sight_unprivileged(p, m, &s);
	if (is_denied(r)) {
		p->discovery->n_denied_mappings++;
		return 0;
	}
	if (r <= 0)
		return is_ours(r) ? r : 0; /* unmapped meanwhile, or not shared memory */
	r = discovery_note(p->discovery, &s, &o);
	return r < 0 ? r : object_add_mapper(o, &mapper);
}

static int discover_mappers(struct process *p)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(p->dir_fd, "maps", &text);
	char *line, *rest = text;

	if (n < 0)
		return (int)n;
	while ((line = strsep(&rest, "\n"))) {
		const struct device *device;
		struct map_line m;
		int r;

		/* Private memory has neither; the first SysV segment has inode number 0. */
		if (map_line_parse(line, &m) < 0 || (m.dev == 0 && m.ino == 0))
			continue;
		/* A device already known to hold something else: most mappings are libraries. */
		device = device_known(&p->discovery->devices, m.dev);
		if (device && device_object_kind(device, p->discovery->caps->shmem_dev, m.path) < 0)
			continue;
		r = note_mapper(p, &m);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What could not be read for want of privilege is counted once a process. */
static int settle(struct process *p, int r)
{
	if (is_gone(r))
		return 0;
	if (is_denied(r)) {
		p->denied = true;
		return 0;
	}
	return r;
}

int discover_process(struct discovery *d, pid_t pid)
{
	struct process p = {.discovery = d, .pid = pid};
	_cleanup_close_ int dir_fd = -1;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%d", (int)pid);
	dir_fd = openat(d->proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return is_gone(-errno) ? -ESRCH : -errno;
	if (is_kernel_thread(dir_fd))
		return 0;
	p.dir_fd = dir_fd;
	r = settle(&p, discover_holders(&p));
	if (r >= 0)
		r = settle(&p, discover_mappers(&p));
	d->n_denied_processes += p.denied;
	return r;
}

int discover_descriptor(const struct kcaps *caps, int fd, struct discovery *ret)
{
	struct discovery d = {.caps = caps, .way = DISCOVER_PROC};
	struct process p = {.discovery = &d, .pid = getpid()};
	_cleanup_close_ int dir_fd = -1;
	char name[16];
	int r;

	d.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d.proc_fd < 0)
		return -errno;
	dir_fd = openat(d.proc_fd, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(name, sizeof(name), "%d", fd);
	p.dir_fd = dir_fd;
	r = dir_fd < 0 ? -errno : note_holder(&p, name);
	if (r >= 0 && d.n_objects == 0)
		r = -ENOTTY;
	if (r < 0) {
		discovery_done(&d);
		return r;
	}
	*ret = d;
	return 0;
}
