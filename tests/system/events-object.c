/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "events-object.h"
#include "probe/walker.h"
#include "util/util.h"

uint64_t page_size;

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("FAIL events-check: ", stdout);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
	exit(1);
}

static uint64_t inode_of(int fd)
{
	static struct walker *walker;
	struct walker_place place = {.fd = fd, .end = 1, .max_records = WALK_NODE_PAGES};
	struct walker_chunk chunk;
	int r = walker ? 0 : walker_new(WALKER_STATES, &walker);

	if (r >= 0)
		r = walker_read(walker, &place, &chunk);
	if (r < 0)
		die("no walk: %s", strerror(-r));
	return chunk.before.inode;
}

struct object *object_new(uint64_t pages, const char *dir)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o)
		die("no memory");
	o->fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
		    : memfd_create("events-check", MFD_CLOEXEC);
	if (o->fd < 0 || ftruncate(o->fd, (off_t)(pages * page_size)) < 0)
		die("no object: %s", strerror(errno));
	o->pages = pages;
	o->map = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (o->map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (!dir)
		(void)madvise(o->map, pages * page_size, MADV_NOHUGEPAGE);
	/* A touch is to bring in what is touched. */
	(void)madvise(o->map, pages * page_size, MADV_RANDOM);
	o->before = calloc(3, pages);
	if (!o->before)
		die("no memory");
	o->after = o->before + pages;
	o->told = o->after + pages;
	o->inode = inode_of(o->fd);
	return o;
}

void object_free(struct object *o)
{
	munmap(o->map, o->pages * page_size);
	close(o->fd);
	free(o->before);
	free(o);
}

void object_write(struct object *o, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		uint64_t *words = (uint64_t *)(void *)(o->map + i * page_size);

		for (size_t k = 0; k < page_size / sizeof(*words); k += 16)
			words[k] = i * 2654435761u + k;
	}
}

void object_page_out(struct object *o, uint64_t first, uint64_t count, uint64_t step)
{
	if (step == 1) {
		(void)madvise(o->map + first * page_size, count * page_size, MADV_PAGEOUT);
		return;
	}
	for (uint64_t i = first; i < first + count; i += step)
		(void)madvise(o->map + i * page_size, page_size, MADV_PAGEOUT);
}

void object_touch(struct object *o, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		*(volatile char *)(o->map + i * page_size);
}

/* By a mapping without page table entries, so that it is the page cache that answers. */
void object_look(const struct object *o, unsigned char *ret)
{
	void *map = mmap(NULL, o->pages * page_size, PROT_NONE, MAP_SHARED, o->fd, 0);

	if (map == MAP_FAILED || mincore(map, o->pages * page_size, ret) < 0)
		die("mincore: %s", strerror(errno));
	munmap(map, o->pages * page_size);
}

void object_forget(struct object *o, const struct events *events)
{
	memset(o->told, 0, o->pages);
	memset(o->events, 0, sizeof(o->events));
	memset(o->unmatched, 0, sizeof(o->unmatched));
	o->lost = events_lost(events);
	o->written = 0;
	object_look(o, o->before);
}

void hear(void *context, const struct event *event)
{
	struct hearing *h = context;
	bool known = false;

	for (size_t i = 0; i < h->n; i++) {
		struct object *o = h->objects[i];
		uint64_t end = event->count > o->pages ? o->pages : event->first + event->count;

		if (event->inode && event->inode != o->inode)
			continue;
		known = true;
		o->events[event->kind]++;
		o->unmatched[event->kind] += event->inode == 0;
		o->written += event->kind == EVENT_SWAP_OUT ? event->count : 0;
		for (uint64_t k = event->first; k < MIN(end, o->pages); k++)
			o->told[k] |= (unsigned char)(1u << event->kind);
	}
	h->strange += !known;
}

uint64_t swapped_out(void)
{
	FILE *file = fopen("/proc/vmstat", "re");
	char name[64];
	uint64_t n;

	while (file && fscanf(file, "%63s %" SCNu64, name, &n) == 2)
		if (strcmp(name, "pswpout") == 0) {
			fclose(file);
			return n;
		}
	die("no pswpout in /proc/vmstat");
}

unsigned events_links(void)
{
	DIR *dir = opendir("/proc/self/fdinfo");
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], text[400];
		int fd;
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		closep(&fd);
		text[MAX(size, (ssize_t)0)] = '\0';
		n += strstr(text, "link_type:") != NULL;
	}
	closedir(dir);
	return n;
}

bool events_readable(const struct events *events, int ms)
{
	struct pollfd p = {.fd = events_fd(events), .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

void drop_privileges(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capset, &header, none) < 0)
		die("capset: %s", strerror(errno));
}
