/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "model/object.h"
#include "util/array.h"
#include "util/parse.h"
#include "util/util.h"

static const char *const kinds[OBJECT_KIND_MAX] = {
	[OBJECT_MEMFD] = "memfd",         [OBJECT_TMPFS] = "tmpfs",
	[OBJECT_SYSV] = "sysv",           [OBJECT_ANON] = "anon",
	[OBJECT_SHMEM] = "shmem",         [OBJECT_HUGETLB] = "hugetlb",
	[OBJECT_SECRETMEM] = "secretmem", [OBJECT_GUEST_MEMFD] = "guest_memfd",
};

const char *object_kind_to_string(enum object_kind kind)
{
	return kinds[kind];
}

int object_kind_from_string(const char *s)
{
	for (int i = 0; i < OBJECT_KIND_MAX; i++)
		if (strcmp(kinds[i], s) == 0)
			return i;
	return -EINVAL;
}

bool object_kind_is_swappable(enum object_kind kind)
{
	return kind < OBJECT_HUGETLB;
}

const char *object_id_format(const struct object_id *id, bool with_generation, char *buf)
{
	int n = snprintf(buf, OBJECT_ID_MAX, "%02x:%02x:%llu", major(id->dev), minor(id->dev),
			 (unsigned long long)id->ino);

	if (with_generation && id->have_generation)
		snprintf(buf + n, (size_t)(OBJECT_ID_MAX - n), "@%08x", id->generation);
	return buf;
}

int object_id_parse(const char *s, struct object_id *ret)
{
	_cleanup_free_ char *copy = strdup(s);
	uint64_t number[4] = {0}; /* major, minor, inode, generation */
	struct object_id id = {0};
	char *rest = copy, *generation;

	if (!copy)
		return -ENOMEM;
	generation = strchr(copy, '@');
	if (generation) {
		*generation++ = '\0';
		if (parse_u64(generation, 16, &number[3]) < 0 || number[3] > UINT32_MAX)
			return -EINVAL;
	}
	for (int i = 0; i < 3; i++) {
		char *part = strsep(&rest, ":");

		if (!part || parse_u64(part, i < 2 ? 16 : 10, &number[i]) < 0)
			return -EINVAL;
	}
	if (rest || number[0] > UINT32_MAX || number[1] > UINT32_MAX)
		return -EINVAL;
	id.dev = makedev((unsigned)number[0], (unsigned)number[1]);
	id.ino = number[2];
	id.have_generation = generation != NULL;
	id.generation = (uint32_t)number[3];
	*ret = id;
	return 0;
}

bool object_id_match(const struct object_id *a, const struct object_id *b)
{
	if (a->dev != b->dev || a->ino != b->ino)
		return false;
	return !a->have_generation || !b->have_generation || a->generation == b->generation;
}

struct object *object_free(struct object *o)
{
	if (!o)
		return NULL;
	free(o->name);
	free(o->holders);
	free(o->mappers);
	free(o);
	return NULL;
}

static int copy_parts(const struct object *o, size_t n, struct object *to)
{
	int r = 0;

	if (o->name) {
		to->name = strdup(o->name);
		if (!to->name)
			return -ENOMEM;
	}
	for (size_t i = 0; i < MIN(n, o->n_holders) && r >= 0; i++)
		r = object_add_holder(to, &o->holders[i]);
	for (size_t i = 0; i < MIN(n, o->n_mappers) && r >= 0; i++)
		r = object_add_mapper(to, &o->mappers[i]);
	return r;
}

struct object *object_copy(const struct object *o, size_t n)
{
	struct object *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *o;
	copy->name = NULL;
	copy->twin = NULL;
	copy->holders = NULL;
	copy->mappers = NULL;
	copy->n_holders = copy->n_holders_allocated = 0;
	copy->n_mappers = copy->n_mappers_allocated = 0;
	return copy_parts(o, n, copy) < 0 ? object_free(copy) : copy;
}

int object_add_holder(struct object *o, const struct object_holder *holder)
{
	int r = ARRAY_RESERVE(&o->holders, &o->n_holders_allocated, o->n_holders);

	if (r < 0)
		return r;
	o->holders[o->n_holders++] = *holder;
	return 0;
}

int object_add_mapper(struct object *o, const struct object_mapper *mapper)
{
	int r = ARRAY_RESERVE(&o->mappers, &o->n_mappers_allocated, o->n_mappers);

	if (r < 0)
		return r;
	o->mappers[o->n_mappers++] = *mapper;
	return 0;
}

/* Holders and mappers come process by process, so equal ones stand together. */
size_t object_count_processes(const struct object *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_holders; i++)
		n += i == 0 || o->holders[i].pid != o->holders[i - 1].pid;
	for (size_t i = 0; i < o->n_mappers; i++) {
		bool known = i > 0 && o->mappers[i].pid == o->mappers[i - 1].pid;

		for (size_t k = 0; k < o->n_holders && !known; k++)
			known = o->holders[k].pid == o->mappers[i].pid;
		n += !known;
	}
	return n;
}
