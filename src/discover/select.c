/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discover/select.h"
#include "discover/target.h"
#include "util/util.h"

bool selector_is_empty(const struct selector *s)
{
	return !s->have_id && s->pid == 0 && !s->path && !s->name;
}

/* The file that a path names, whether or not a process has it open. */
static int sight_path(struct discovery *d, const struct target *t)
{
	struct sighting s = {.have_size = true, .link = t->real};
	struct object *o;
	int r = device_object_kind(&t->device, d->caps->shmem_dev, t->real);

	if (r < 0)
		return -ENOTTY;
	s.kind = (enum object_kind)r;
	s.id = (struct object_id){
		.dev = t->st.st_dev,
		.ino = t->st.st_ino,
		.have_generation = t->have_generation,
		.generation = t->generation,
	};
	s.size = (uint64_t)t->st.st_size;
	s.page_size = s.kind == OBJECT_HUGETLB ? t->device.block_size : d->caps->page_size;
	r = discovery_note(d, &s, &o);
	if (r >= 0)
		d->at_path = o;
	return r;
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
	_cleanup_(target_done) struct target target = {.fd = -1};
	struct discovery d;
	int r;

	if (!process_exists(getpid()))
		return -ENODATA;
	if (s->pid > 0 && !process_exists(s->pid))
		return -ESRCH;
	r = s->path ? target_find_by(options->finder, s->path, &target) : 0;
	/* Or it would be sighted, if we look at ourselves. */
	closep(&target.fd);
	target.fd = -1;
	if (r >= 0)
		r = discover_with(options, caps, "/proc", all_processes ? 0 : s->pid, &d);
	if (r >= 0 && s->path) {
		r = sight_path(&d, &target);
		if (r < 0)
			discovery_done(&d);
	}
	if (r >= 0)
		*ret = d;
	return r;
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

/* Not by a look at the path again: it may lead elsewhere by now. */
static bool match_path(const struct discovery *d, const struct object *o)
{
	return d->at_path && object_id_match(&d->at_path->id, &o->id);
}

static bool match(const struct selector *s, const struct discovery *d, const struct object *o)
{
	if (s->have_id && !object_id_match(&s->id, &o->id))
		return false;
	if (s->pid > 0 && !match_process(s, o))
		return false;
	if (s->name && (!o->name || strcmp(s->name, o->name) != 0))
		return false;
	return !s->path || match_path(d, o);
}

int selector_match(const struct selector *s, const struct discovery *d, struct object ***ret)
{
	struct object **matches = calloc(d->n_objects + 1, sizeof(*matches));
	int n = 0;

	if (!matches)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_objects; i++)
		if (match(s, d, d->objects[i]))
			matches[n++] = d->objects[i];
	*ret = matches;
	return n;
}
