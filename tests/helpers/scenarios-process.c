// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Several mappings and processes, whose page tables say different things of one object.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmfactory.h"

enum {
	SEED_PAGES = 512,
	PRIVATE_PAGES = 64,
};

static enum page_state plan_thirds(uint64_t page, uint64_t pages)
{
	if (page < pages / 3)
		return STATE_SWAPPED;
	return page < pages / 3 * 2 ? STATE_PRESENT : STATE_HOLE;
}

/* A child and a way to hear one byte from it. */
static pid_t spawn_with_pipe(int *ret_fd, bool *ret_child)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	pid = spawn();
	*ret_child = !pid;
	*ret_fd = fds[pid ? 0 : 1];
	close(fds[pid ? 1 : 0]);
	return pid;
}

static void __attribute__((noreturn)) say_and_stay(int fd)
{
	if (write(fd, "", 1) != 1)
		_exit(1);
	close(fd);
	for (;;)
		pause();
}

static void hear(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		die("a process of the scenario failed");
	close(fd);
}

static void touch_mapping(struct factory *f, const char *address, uint64_t count)
{
	uint64_t page;

	for (page = 0; page < count; page++)
		(void)*(const volatile char *)(address + page * f->page_size);
}

/*
 * B maps the page alone when it is swapped out, for A has let go of it. A's pagemap has nothing
 * of it, whatever is done to B's entry on swap-out.
 */
static void make_other_process(struct factory *f)
{
	struct object *o;
	uint64_t page;
	bool child;
	int fd, tries;

	object_create(f, KIND_MEMFD, SEED_PAGES * f->page_size);
	o = &f->object;
	group_enter(f);
	for (page = 0; page < SEED_PAGES; page++)
		fill_page(o->address + page * f->page_size, page, f->page_size);
	group_leave(f);
	if (madvise(o->address, o->mapped, MADV_DONTNEED) < 0)
		die("MADV_DONTNEED: %s", strerror(errno));
	spawn_with_pipe(&fd, &child);
	if (child) {
		for (tries = 0; tries < 20 && object_swapped(f) < SEED_PAGES; tries++) {
			touch_mapping(f, o->address, SEED_PAGES);
			page_out(f, o->address, o->mapped);
		}
		if (object_swapped(f) < SEED_PAGES)
			die("the other process could not page out");
		object_close_own_fd(f);
		say_and_stay(fd);
	}
	hear(fd);
	drop_swap_cache(f, 0, SEED_PAGES, 1);
	snprintf(f->note, sizeof(f->note), " seed=1");
}

/* No page table entry of shared memory is copied by fork(), so the child has none at all. */
static void make_fork_child(struct factory *f)
{
	bool child;
	int fd;

	object_create(f, KIND_ANON, SEED_PAGES * f->page_size);
	swap_out_pages(f, 0, SEED_PAGES, 1);
	object_close_own_fd(f);
	f->reported_pid = spawn_with_pipe(&fd, &child);
	if (child)
		say_and_stay(fd);
	hear(fd);
	snprintf(f->note, sizeof(f->note), " seed=1");
}

/* The child has the pages in core mapped, the parent none. */
static void make_fork(struct factory *f)
{
	uint64_t third = f->pages / 3;
	bool child;
	int fd;

	object_create(f, KIND_ANON, f->pages * f->page_size);
	build(f, plan_thirds);
	object_close_own_fd(f);
	spawn_with_pipe(&fd, &child);
	if (child) {
		touch_mapping(f, f->object.address + third * f->page_size, third);
		say_and_stay(fd);
	}
	hear(fd);
}

/* The same pages at two addresses of one process, the second mapping from the middle on. */
static void make_second_mapper(struct factory *f)
{
	struct object *o = &f->object;
	uint64_t half = f->pages / 2;
	char *second;

	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build(f, plan_thirds);
	second = mmap(NULL, (f->pages - half) * f->page_size, PROT_READ, MAP_SHARED, o->fd,
		      half * f->page_size);
	if (second == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	touch_mapping(f, second, f->pages / 3 * 2 - half);
	snprintf(f->note, sizeof(f->note), " second=%#lx", (unsigned long)second);
}

static void punch(struct factory *f, uint64_t first, uint64_t count)
{
	if (fallocate(f->object.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      first * f->page_size, count * f->page_size) < 0)
		die("punch: %s", strerror(errno));
	expect_set(&f->object.expect, first, count, SET(STATE_HOLE));
}

/*
 * A private mapping with copies: 16 that were swapped out, the rest in core, over pages of the
 * object that are present, then swapped, then a hole. The object's own states do not follow the
 * copies. The address reported is that of the private mapping.
 */
static void make_private(struct factory *f)
{
	struct object *o = &f->object;
	uint64_t page;
	char *copy;

	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build(f, plan_thirds);
	/* writing to a private mapping reads the object's page in, so that these come first, anew
	 */
	punch(f, 0, PRIVATE_PAGES);
	write_pages(f, 0, PRIVATE_PAGES, 1);
	copy = mmap(NULL, o->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, o->fd, 0);
	if (copy == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (page = 0; page < PRIVATE_PAGES; page++)
		memset(copy + page * f->page_size, 0x55, f->page_size);
	if (madvise(copy, PRIVATE_PAGES / 4 * f->page_size, MADV_PAGEOUT) < 0)
		die("MADV_PAGEOUT: %s", strerror(errno));
	punch(f, PRIVATE_PAGES / 2, PRIVATE_PAGES / 4);
	swap_out_pages(f, PRIVATE_PAGES / 2, PRIVATE_PAGES / 4, 1);
	punch(f, PRIVATE_PAGES / 4 * 3, PRIVATE_PAGES / 4);
	snprintf(f->note, sizeof(f->note), " private=%#lx copies=%d", (unsigned long)copy,
		 PRIVATE_PAGES);
	munmap(o->address, o->mapped);
	o->address = copy;
}

const struct scenario process_scenarios[] = {
	{"other-process-swapped", "swapped out of the other process's mapping", NEEDS_SWAP, 0,
	 make_other_process},
	{"fork-child", "a child whose parent had swapped all before", NEEDS_SWAP, 0,
	 make_fork_child},
	{"fork", "a child that has mapped what its parent has not", NEEDS_SWAP, 0, make_fork},
	{"second-mapper", "two mappings at different offsets", NEEDS_SWAP, 0, make_second_mapper},
	{"private", "a private mapping with copied pages", NEEDS_SWAP, 0, make_private},
	{NULL, NULL, 0, 0, NULL},
};
