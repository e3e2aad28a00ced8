/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "discover/discover.h"
#include "util/file.h"
#include "util/util.h"

/* A line of /proc/sysvipc/shm; the segments are those of our own IPC namespace. */
struct sysv_line {
	unsigned key;
	int shmid;
	unsigned perms;
	unsigned long long size;
	unsigned long long n_attached;
};

static int sysv_line_parse(const char *line, struct sysv_line *ret)
{
	struct sysv_line s;
	int key;

	if (sscanf(line, "%d %d %o %llu %*d %*d %llu", &key, &s.shmid, &s.perms, &s.size,
		   &s.n_attached) != 5)
		return -EINVAL;
	s.key = (unsigned)key;
	*ret = s;
	return 0;
}

/* In perms, beside the nine bits of the mode: the kernel's linux/shm.h. */
#define SHM_LOCKED 02000

/*
 * Segments that nobody has attached: the others show in maps. A shmid is reused across namespaces,
 * but a segment without attachments is in no map, and so is never one that was sighted there.
 */
int discover_sysv(struct discovery *d)
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest;

	if (file_read_at(d->proc_fd, "sysvipc/shm", &text) < 0)
		return 0; /* a kernel without SysV IPC */
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		struct sighting s = {.kind = OBJECT_SYSV, .separate = true};
		struct sysv_line segment;
		struct object *o;
		char link[32];
		int r;

		if (sysv_line_parse(line, &segment) < 0 || segment.n_attached > 0)
			continue;
		snprintf(link, sizeof(link), "/SYSV%08x", segment.key);
		s.link = link;
		s.id = (struct object_id){.dev = d->caps->shmem_dev, .ino = (ino_t)segment.shmid};
		s.have_size = true;
		s.size = segment.size;
		s.page_size = d->caps->page_size;
		r = discovery_note(d, &s, &o);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A shmid is one of an IPC namespace, and what is listed is ours. */
static bool is_our_namespace(int dir_fd)
{
	_cleanup_free_ char *ours = NULL, *theirs = NULL;

	return link_read_at(AT_FDCWD, "/proc/self/ns/ipc", &ours) >= 0 &&
	       link_read_at(dir_fd, "ns/ipc", &theirs) >= 0 && strcmp(ours, theirs) == 0;
}

int sysv_is_locked(int dir_fd, ino_t shmid)
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest;
	ssize_t n;

	if (!is_our_namespace(dir_fd))
		return -ENODATA;
	n = file_read_at(AT_FDCWD, "/proc/sysvipc/shm", &text);
	if (n < 0)
		return (int)n;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		struct sysv_line segment;

		if (sysv_line_parse(line, &segment) >= 0 && (ino_t)segment.shmid == shmid)
			return segment.perms & SHM_LOCKED ? 1 : 0;
	}
	return -ENODATA;
}
