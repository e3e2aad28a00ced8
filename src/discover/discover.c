/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "discover/discover.h"
#include "discover/iterate.h"
#include "util/array.h"
#include "util/file.h"
#include "util/parse.h"
#include "util/stop.h"
#include "util/util.h"

static int object_compare(const void *a, const void *b)
{
	const struct object_id *x = &((const struct object *)a)->id;
	const struct object_id *y = &((const struct object *)b)->id;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* The tree borrows its objects from the array. */
static void tree_node_free(void *node)
{
	(void)node;
}

void discovery_done(struct discovery *d)
{
	tdestroy(d->tree, tree_node_free);
	for (size_t i = 0; i < d->n_objects; i++)
		object_free(d->objects[i]);
	free(d->objects);
	device_cache_done(&d->devices);
	closep(&d->proc_fd);
	*d = (struct discovery){.proc_fd = -1};
}

/*
 * Among objects with the same DEV:INO: the one of this kind and generation. A sighting whose
 * generation could not be read belongs to the only one of its kind, if there is only one.
 */
static struct object *find_twin(struct object *first, const struct sighting *s)
{
	struct object *found = NULL;

	for (struct object *o = first; o; o = o->twin) {
		if (o->kind != s->kind || !object_id_match(&o->id, &s->id))
			continue;
		if (o->id.have_generation == s->id.have_generation)
			return o;
		if (found)
			return NULL;
		found = o;
	}
	return found;
}

static int object_new(const struct sighting *s, struct object **ret)
{
	struct object *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->id = s->id;
	o->kind = s->kind;
	o->page_size = s->page_size;
	/* The name of a file that is not deleted may end in " (deleted)" all the same. */
	if (!s->link[0])
		r = 0;
	else if (s->kind == OBJECT_TMPFS && !s->deleted)
		r = (o->name = strdup(s->link)) ? 0 : -ENOMEM;
	else
		r = object_name_from_link(s->kind, s->link, &o->name);
	if (r < 0) {
		object_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

static int discovery_add(struct discovery *d, const struct sighting *s, struct object **ret)
{
	struct object *o, *first;
	void *node;
	int r;

	r = ARRAY_RESERVE(&d->objects, &d->n_objects_allocated, d->n_objects);
	if (r < 0)
		return r;
	r = object_new(s, &o);
	if (r < 0)
		return r;
	node = tsearch(o, &d->tree, object_compare);
	if (!node) {
		object_free(o);
		return -ENOMEM;
	}
	first = *(struct object **)node;
	if (first != o) {
		o->twin = first->twin;
		first->twin = o;
		o->has_twin = first->has_twin = true;
	}
	d->objects[d->n_objects++] = o;
	*ret = o;
	return 0;
}

int discovery_note(struct discovery *d, const struct sighting *s, struct object **ret)
{
	struct object key = {.id = s->id};
	void *node = tfind(&key, &d->tree, object_compare);
	struct object *o = node && !s->separate ? find_twin(*(struct object **)node, s) : NULL;
	int r;

	if (!o) {
		r = discovery_add(d, s, &o);
		if (r < 0)
			return r;
	}
	if (s->id.have_generation)
		o->id = s->id;
	if (s->have_size) {
		o->have_size = true;
		o->size = s->size;
	}
	o->deleted |= s->deleted;
	o->leased |= s->leased;
	*ret = o;
	return 0;
}

static int discover_all_processes(struct discovery *d)
{
	_cleanup_close_ int fd = openat(d->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	TAKE_FD(fd);
	while (r >= 0 && (entry = readdir(dir))) {
		int pid;

		if (parse_int(entry->d_name, 1, &pid) < 0)
			continue;
		r = discover_process(d, pid);
		if (r == -ESRCH)
			r = 0;
		if (r >= 0)
			r = stop_asked();
	}
	closedir(dir);
	return r;
}

/* What a process is numbered in /proc and in each namespace below: one number if that is ours. */
static bool is_own_namespace(const struct discovery *d)
{
	_cleanup_free_ char *text = NULL;
	const char *line;

	if (file_read_at(d->proc_fd, "self/status", &text) < 0)
		return false;
	line = strstr(text, "\nNSpid:\t");
	if (!line)
		return true; /* a kernel without such namespaces */
	line += strlen("\nNSpid:\t");
	return line[strspn(line, "0123456789")] == '\n';
}

static int discover_by_iterators(struct discovery *d, struct iterators *loaded)
{
	struct iterators *i = loaded;
	int r;

	if (!is_own_namespace(d))
		return -EOPNOTSUPP;
	if (!i) {
		r = iterators_new(&i);
		if (r < 0)
			return r;
	}
	r = discover_iterate(d, i);
	if (i != loaded)
		iterators_free(i);
	return r;
}

static int discover_by(enum discover_way way, const struct discover_options *options,
		       const struct kcaps *caps, const char *proc, pid_t pid, struct discovery *ret)
{
	struct discovery d = {.caps = caps, .way = way, .finder = options->finder};
	int r;

	d.proc_fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d.proc_fd < 0)
		return -errno;
	if (way == DISCOVER_ITERATORS)
		r = discover_by_iterators(&d, options->iterators);
	else if (pid > 0)
		r = discover_process(&d, pid);
	else
		r = discover_all_processes(&d);
	if (r >= 0 && pid == 0)
		r = discover_sysv(&d);
	if (r < 0) {
		discovery_done(&d);
		return r;
	}
	*ret = d;
	return 0;
}

int discover_with(const struct discover_options *options, const struct kcaps *caps,
		  const char *proc, pid_t pid, struct discovery *ret)
{
	static const struct discover_options none;
	bool can_iterate = pid == 0 && strcmp(proc, "/proc") == 0;
	int r = -EOPNOTSUPP;

	if (!options)
		options = &none;
	if (options->way != DISCOVER_PROC && can_iterate)
		r = discover_by(DISCOVER_ITERATORS, options, caps, proc, pid, ret);
	if (r >= 0 || options->way == DISCOVER_ITERATORS)
		return r;
	return discover_by(DISCOVER_PROC, options, caps, proc, pid, ret);
}

int discover(const struct kcaps *caps, const char *proc, pid_t pid, struct discovery *ret)
{
	return discover_with(NULL, caps, proc, pid, ret);
}

int discover_recalled(const struct kcaps *caps, struct object *o, struct discovery *ret)
{
	/* Of what threads have for themselves it may be one, too. */
	struct discovery d = {.caps = caps, .way = DISCOVER_ITERATORS};
	int r = o ? ARRAY_RESERVE(&d.objects, &d.n_objects_allocated, 0) : -ENOMEM;

	if (r < 0) {
		object_free(o);
		return r;
	}
	d.objects[d.n_objects++] = o;
	d.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = d.proc_fd < 0 ? -errno : 0;
	if (r < 0)
		discovery_done(&d);
	else
		*ret = d;
	return r;
}
