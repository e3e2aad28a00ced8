/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
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
