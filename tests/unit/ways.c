/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct iterators *iterators;

int ways_setup(void **state)
{
	int r = iterators_new(&iterators);

	if (r < 0)
		print_message("no iterators, nothing to compare: %s\n", strerror(-r));
	return objects_setup(state);
}

int ways_teardown(void **state)
{
	(void)state;
	iterators = iterators_free(iterators);
	return 0;
}

int look(enum discover_way way, struct discovery *ret)
{
	struct discover_options options = {.way = way, .iterators = iterators};

	return discover_with(&options, &caps, "/proc", 0, ret);
}

static bool is_readable(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EACCES;
}

static bool is_selected(const struct selection *s, pid_t pid)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (s->pids[i] == pid)
			return true;
	return !s && is_readable(pid);
}

static void describe_users(const struct object *o, const struct selection *s, FILE *f)
{
	for (size_t i = 0; i < o->n_holders; i++)
		if (is_selected(s, o->holders[i].pid))
			fprintf(f, " fd %d:%d", o->holders[i].pid, o->holders[i].fd);
	for (size_t i = 0; i < o->n_mappers; i++) {
		const struct object_mapper *m = &o->mappers[i];

		if (is_selected(s, m->pid))
			fprintf(f, " map %d:%llx-%llx+%llx%c", m->pid, (unsigned long long)m->start,
				(unsigned long long)m->end, (unsigned long long)m->offset,
				m->shared ? 's' : 'p');
	}
}

static bool is_used(const struct object *o, const struct selection *s)
{
	for (size_t i = 0; i < o->n_holders; i++)
		if (is_selected(s, o->holders[i].pid))
			return true;
	for (size_t i = 0; i < o->n_mappers; i++)
		if (is_selected(s, o->mappers[i].pid))
			return true;
	return (!s || s->n == 0) && o->n_holders + o->n_mappers == 0;
}

/* A line an object, in the order of discovery. The caller frees it. */
static char *describe(const struct discovery *d, const struct selection *s)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	for (size_t i = 0; i < d->n_objects; i++) {
		const struct object *o = d->objects[i];
		char id[OBJECT_ID_MAX];

		if (!is_used(o, s))
			continue;
		fprintf(f, "%s %s deleted=%d size=%d:%llu page=%llu twin=%d name=",
			object_id_format(&o->id, true, id), object_kind_to_string(o->kind),
			o->deleted, o->have_size, (unsigned long long)o->size,
			(unsigned long long)o->page_size, o->has_twin);
		for (const char *c = o->name ? o->name : "(none)"; *c; c++)
			fprintf(f, *c > ' ' ? "%c" : "\\%02x", *c & 0xff);
		describe_users(o, s, f);
		fputc('\n', f);
	}
	assert_int_equal(fclose(f), 0);
	return text;
}

char *look_and_describe(enum discover_way way, const struct selection *s)
{
	struct discovery d;
	char *text;

	assert_int_equal(look(way, &d), 0);
	assert_int_equal(d.way, way);
	text = describe(&d, s);
	discovery_done(&d);
	return text;
}

/* What is in only one of the two shows as a message, line by line. */
static void print_missing(const char *label, const char *text, const char *in)
{
	_cleanup_free_ char *copy = strdup(text);
	char *line, *rest = copy;

	while ((line = strsep(&rest, "\n")))
		if (!strstr(in, line))
			print_message("%s: %s\n", label, line);
}

void compare_ways(const struct selection *s, const char *contains)
{
	_cleanup_free_ char *by_proc = look_and_describe(DISCOVER_PROC, s);
	_cleanup_free_ char *by_iterators = look_and_describe(DISCOVER_ITERATORS, s);

	if (strcmp(by_proc, by_iterators) != 0) {
		print_missing("/proc only", by_proc, by_iterators);
		print_missing("iterators only", by_iterators, by_proc);
		fail();
	}
	if (contains)
		assert_non_null(strstr(by_proc, contains));
}

void compare_own(const char *contains)
{
	pid_t pid = getpid();

	compare_ways(&(struct selection){&pid, 1}, contains);
}

void need_iterators(void)
{
	if (!iterators)
		skip(); /* setup() said why */
}

char *map_pages(int fd, size_t size, int flags, off_t offset)
{
	char *address = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

	assert_true(address != MAP_FAILED);
	return address;
}

int make_file_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 12345), 0);
	return fd;
}
