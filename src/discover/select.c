/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "discover/select.h"
#include "probe/generation.h"
#include "util/util.h"

bool selector_is_empty(const struct selector *s)
{
	return !s->have_id && s->pid == 0 && !s->path && !s->name;
}

/* The file that a path names, whether or not a process has it open. */
static int sight_path(struct discovery *d, const char *path, struct object **ret)
{
	_cleanup_free_ char *real = NULL;
	const struct device *device;
	struct sighting s = {.have_size = true};
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTTY;
	real = realpath(path, NULL);
	if (!real)
		return -errno;
	r = device_find(&d->devices, st.st_dev, AT_FDCWD, path, &device);
	if (r < 0)
		return r;
	s.link = real;
	r = device_object_kind(device, d->caps->shmem_dev, s.link);
	if (r < 0)
		return -ENOTTY;
	s.kind = (enum object_kind)r;
	s.id = (struct object_id){.dev = st.st_dev, .ino = st.st_ino};
	s.id.have_generation = generation_of_path(AT_FDCWD, path, &s.id.generation) == 0;
	s.size = (uint64_t)st.st_size;
	s.page_size = s.kind == OBJECT_HUGETLB ? device->block_size : d->caps->page_size;
	return discovery_note(d, &s, ret);
}

static bool process_exists(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return access(path, F_OK) == 0;
}

int selector_discover(const struct selector *s, const struct discover_options *options,
		      const struct kcaps *caps, bool all_processes, struct discovery *ret)
{
	struct discovery d;
	struct object *o;
	int r;

	if (!process_exists(getpid()))
		return -ENODATA;
	if (s->pid > 0 && !process_exists(s->pid))
		return -ESRCH;
	r = discover_with(options, caps, "/proc", all_processes ? 0 : s->pid, &d);
	if (r < 0)
		return r;
	if (s->path) {
		r = sight_path(&d, s->path, &o);
		if (r < 0) {
			discovery_done(&d);
			return r;
		}
	}
	*ret = d;
	return 0;
}

static bool match_holder(const struct selector *s, const struct object *o)
{
	for (size_t i = 0; i < o->n_holders; i++)
		if (o->holders[i].pid == s->pid && (!s->have_fd || o->holders[i].fd == s->fd))
			return true;
	return false;
}

static bool match_mapper(const struct selector *s, const struct object *o)
{
	for (size_t i = 0; i < o->n_mappers; i++) {
		const struct object_mapper *m = &o->mappers[i];

		if (m->pid == s->pid &&
		    (!s->have_address || (s->address >= m->start && s->address < m->end)))
			return true;
	}
	return false;
}

static bool match_process(const struct selector *s, const struct object *o)
{
	if (s->have_fd && s->have_address)
		return match_holder(s, o) && match_mapper(s, o);
	if (s->have_fd)
		return match_holder(s, o);
	if (s->have_address)
		return match_mapper(s, o);
	return match_holder(s, o) || match_mapper(s, o);
}

static bool match_path(const char *path, const struct object *o)
{
	struct object_id id = {0};
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	id.dev = st.st_dev;
	id.ino = st.st_ino;
	id.have_generation = generation_of_path(AT_FDCWD, path, &id.generation) == 0;
	return object_id_match(&id, &o->id);
}

static bool match(const struct selector *s, const struct object *o)
{
	if (s->have_id && !object_id_match(&s->id, &o->id))
		return false;
	if (s->pid > 0 && !match_process(s, o))
		return false;
	if (s->name && (!o->name || strcmp(s->name, o->name) != 0))
		return false;
	return !s->path || match_path(s->path, o);
}

int selector_match(const struct selector *s, const struct discovery *d, struct object ***ret)
{
	struct object **matches = calloc(d->n_objects + 1, sizeof(*matches));
	int n = 0;

	if (!matches)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_objects; i++)
		if (match(s, d->objects[i]))
			matches[n++] = d->objects[i];
	*ret = matches;
	return n;
}
