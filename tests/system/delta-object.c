/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "delta-steps.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

const char *memory_group;

static char *address(const struct object *o, uint64_t page)
{
	return o->map + page * o->page_size;
}

/* A place that large folios can be mapped at. */
static char *find_place(uint64_t page_size)
{
	size_t align = REGION * page_size, size = PAGES_MAX * page_size;
	char *area = mmap(NULL, size + align, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *place = (char *)(((uintptr_t)area + align - 1) / align * align);

	if (area == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	munmap(area, (size_t)(place - area));
	munmap(place + size, (size_t)(area + align - place));
	return place;
}

static void map_file(struct object *o)
{
	char *place = find_place(o->page_size);

	if (o->fd < 0 || ftruncate(o->fd, (off_t)(o->pages * o->page_size)) < 0)
		die("an object could not be made: %s", strerror(errno));
	o->map = mmap(place, PAGES_MAX * o->page_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, o->fd, 0);
	if (o->map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
}

/* Such an object has a size for good. */
static void attach_segment(struct object *o)
{
	size_t size = PAGES_MAX * o->page_size;
	char *place = find_place(o->page_size), path[64];

	munmap(place, size);
	o->pages = PAGES_MAX;
	o->shmid = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
	o->map = o->shmid < 0 ? (void *)-1 : shmat(o->shmid, place, 0);
	if (o->map == (void *)-1)
		die("a System V segment could not be made: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)o->map,
		 (unsigned long)o->map + size);
	o->fd = open(path, O_RDWR | O_CLOEXEC);
	if (o->fd < 0)
		die("%s: %s", path, strerror(errno));
}

void object_make(struct object *o, enum kind kind, uint64_t pages)
{
	static unsigned serial;

	*o = (struct object){.kind = kind,
			     .pages = pages,
			     .shmid = -1,
			     .page_size = (uint64_t)sysconf(_SC_PAGESIZE)};
	switch (kind) {
	case KIND_MEMFD:
		o->fd = memfd_create("shmstate-deltas", MFD_CLOEXEC);
		map_file(o);
		break;
	case KIND_FILE:
		snprintf(o->path, sizeof(o->path), "/dev/shm/shmstate-deltas.%d.%u", getpid(),
			 serial++);
		o->fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		map_file(o);
		break;
	case KIND_SYSV:
	case KINDS:
		attach_segment(o);
		break;
	}
}

void object_done(struct object *o)
{
	if (o->shmid >= 0) {
		shmdt(o->map);
		shmctl(o->shmid, IPC_RMID, NULL);
	} else {
		munmap(o->map, PAGES_MAX * o->page_size);
	}
	close(o->fd);
	if (o->path[0] != '\0')
		unlink(o->path);
}

/* No two pages alike, and none of zeros. */
void object_write(struct object *o, uint64_t first, uint64_t count)
{
	for (uint64_t page = first; page < first + count; page++)
		*(volatile uint64_t *)(void *)address(o, page) = page * 7919 + 1;
}

void object_page_out(struct object *o, uint64_t first, uint64_t count)
{
	if (count > 0)
		madvise(address(o, first), count * o->page_size, MADV_PAGEOUT);
}

static void read_pages(struct object *o, uint64_t first, uint64_t count)
{
	for (uint64_t page = first; page < first + count; page++)
		(void)*(volatile char *)address(o, page);
}

static void change_file(struct object *o, int mode, uint64_t first, uint64_t count)
{
	if (count > 0 && fallocate(o->fd, mode, (off_t)(first * o->page_size),
				   (off_t)(count * o->page_size)) < 0)
		die("fallocate: %s", strerror(errno));
}

/*
 * Linux 6.18 truncates for ever, and is not to be killed, where a large swap entry lies across the
 * new end: a page there must be in RAM for the entry to be split.
 */
static void bring_in(struct object *o, uint64_t page)
{
	if (o->large && page < o->pages)
		read_pages(o, page, 1);
}

void object_punch(struct object *o, uint64_t first, uint64_t count)
{
	change_file(o, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first, count);
}

static void allocate(struct object *o, uint64_t first, uint64_t count)
{
	change_file(o, 0, first, count);
}

/* The kernel reads them into the swap cache. */
static void read_ahead(struct object *o, uint64_t first, uint64_t count)
{
	if (count > 0)
		madvise(address(o, first), count * o->page_size, MADV_WILLNEED);
}

/* One page here and one there, as a guest does. */
static void write_scattered(struct object *o, uint64_t first, uint64_t count)
{
	for (uint64_t page = first; page < first + count; page += 3)
		object_write(o, page, 1);
}

static void page_out_scattered(struct object *o, uint64_t first, uint64_t count)
{
	for (uint64_t page = first; page < first + count; page += 3)
		object_page_out(o, page, 1);
}

static void do_nothing(struct object *o, uint64_t first, uint64_t count)
{
	(void)o;
	(void)first;
	(void)count;
}

static void resize(struct object *o, uint64_t first, uint64_t count)
{
	(void)count;
	if (o->kind == KIND_SYSV)
		return;
	bring_in(o, first + 1);
	if (ftruncate(o->fd, (off_t)((first + 1) * o->page_size)) < 0)
		die("ftruncate: %s", strerror(errno));
	o->pages = first + 1;
}

static void grow(struct object *o, uint64_t first, uint64_t count)
{
	resize(o, o->pages + (PAGES_MAX - o->pages) / 2 - 1, 0);
	(void)first;
	(void)count;
}

static void collapse(struct object *o, uint64_t first, uint64_t count)
{
	uint64_t region = first / REGION * REGION;

	(void)count;
	if (region + REGION > o->pages)
		return;
	madvise(address(o, region), REGION * o->page_size, MADV_COLLAPSE);
	o->large = true;
}

/* Where the system is told so, what is written there from now on is a large folio. */
static void ask_for_large(struct object *o, uint64_t first, uint64_t count)
{
	uint64_t region = first / REGION * REGION;

	(void)count;
	if (region + REGION > o->pages)
		return;
	madvise(address(o, region), REGION * o->page_size, MADV_HUGEPAGE);
	object_punch(o, region, REGION);
	object_write(o, region, REGION);
	o->large = true;
}

/* All that is ours goes, what is still in the swap cache too. */
static void reclaim(struct object *o, uint64_t first, uint64_t count)
{
	char path[256];
	int fd;

	do_nothing(o, first, count);
	if (!memory_group)
		return;
	snprintf(path, sizeof(path), "%s/memory.force_empty", memory_group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "0", 1);
	} else {
		snprintf(path, sizeof(path), "%s/memory.reclaim", memory_group);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		(void)!write(fd, "1G", 2);
	}
	if (fd >= 0)
		close(fd);
}

static const struct action {
	const char *name;
	void (*act)(struct object *o, uint64_t first, uint64_t count);
	unsigned weight;
} actions[] = {
	{"write", object_write, 20},
	{"write scattered", write_scattered, 8},
	{"read", read_pages, 14},
	{"page out", object_page_out, 26},
	{"page out scattered", page_out_scattered, 10},
	{"read ahead", read_ahead, 6},
	{"punch", object_punch, 8},
	{"allocate", allocate, 5},
	{"resize", resize, 2},
	{"grow", grow, 3},
	{"collapse", collapse, 2},
	{"large folio", ask_for_large, 2},
	{"reclaim", reclaim, 1},
	{"nothing", do_nothing, 5},
};

const char *object_change(struct object *o, struct random *r)
{
	static const uint64_t longest[] = {1, 1, 8, 70, 600, PAGES_MAX};
	uint64_t first = below(r, o->pages), most = longest[below(r, 6)], count;
	unsigned sum = 0, chosen;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(actions) / sizeof(*actions); k++)
		sum += actions[k].weight;
	chosen = (unsigned)below(r, sum);
	while (chosen >= actions[i].weight)
		chosen -= actions[i++].weight;
	count = 1 + below(r, most);
	actions[i].act(o, first, count < o->pages - first ? count : o->pages - first);
	return actions[i].name;
}
