/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "race.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static uint64_t below(struct mover *m, uint64_t n)
{
	return next_random(&m->random) % n;
}

/* A page that may be moved, in a region of one of these kinds. */
static uint64_t choose(struct mover *m, unsigned kinds)
{
	for (;;) {
		uint64_t page = below(m, m->race->pages);

		if (!(kinds >> region_kind(page) & 1))
			continue;
		page = page / REGION * REGION + below(m, REGION);
		if (m->race->role[page] == ROLE_MOVE)
			return page;
	}
}

static char *address(struct mover *m, uint64_t page)
{
	return m->race->map + page * m->race->page_size;
}

static void change(struct mover *m, int mode, uint64_t page)
{
	uint64_t size = m->race->page_size;

	if (fallocate(m->race->fd, mode, (off_t)(page * size), (off_t)size) < 0 && errno != EINTR)
		die("fallocate: %s", strerror(errno));
}

static void write_page(struct mover *m, uint64_t page)
{
	*(volatile uint64_t *)(void *)address(m, page) = page + 1;
}

static void page_out(struct mover *m, uint64_t page)
{
	madvise(address(m, page), m->race->page_size, MADV_PAGEOUT);
}

static void move_page(struct mover *m, uint64_t page)
{
	switch (below(m, 8)) {
	case 0:
		change(m, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page);
		break;
	case 1:
		if (page < race_allocated_end(m->race))
			change(m, 0, page);
		break;
	case 2:
	case 3:
		write_page(m, page);
		break;
	case 4:
		(void)*(volatile char *)address(m, page);
		break;
	case 5:
		page_out(m, page);
		break;
	default:
		write_page(m, page);
		page_out(m, page);
	}
}

static void move_small(struct mover *m)
{
	uint64_t page = choose(m, 1 << REGION_EVEN | 1 << REGION_RUNS);

	/* The same page a few times: the more often something happens in one node. */
	for (uint64_t n = 1 + below(m, 8); n > 0; n--)
		move_page(m, page);
}

static void move_collapse(struct mover *m)
{
	uint64_t page = choose(m, 1 << REGION_COLLAPSE), first = page / REGION * REGION;

	madvise(address(m, first), REGION * m->race->page_size, MADV_COLLAPSE);
	for (uint64_t n = below(m, 6); n > 0; n--) {
		uint64_t other = first + below(m, REGION);

		if (m->race->role[other] == ROLE_MOVE)
			move_page(m, other);
	}
}

static void move_swapped(struct mover *m)
{
	uint64_t page = choose(m, 1 << REGION_SWAPPED);

	if (below(m, 3))
		(void)*(volatile char *)address(m, page);
	else
		change(m, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page);
	usleep(100); /* or all is split before the scans have begun */
}

/* What a child has mapped cannot be paged out; when it ends it lets go. */
static void fork_once(struct mover *m)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 50; i++)
			(void)*(volatile char *)address(m, choose(m, 1 << REGION_EVEN));
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Behind the pages that are judged the object grows and shrinks, and the tree with it. */
static void move_tail(struct mover *m)
{
	uint64_t size = m->race->page_size, pages = m->race->pages;
	uint64_t far = pages + (UINT64_C(1) << below(m, 30));

	if (ftruncate(m->race->fd, (off_t)(far * size)) < 0 ||
	    pwrite(m->race->fd, "x", 1, (off_t)((far - 1) * size)) != 1 ||
	    pwrite(m->race->fd, "x", 1, (off_t)((pages + below(m, far - pages)) * size)) != 1 ||
	    ftruncate(m->race->fd, (off_t)(pages * size)) < 0)
		die("truncate: %s", strerror(errno));
	if (below(m, 16) == 0)
		fork_once(m);
}

void *mover(void *context)
{
	static void (*const moves[N_MOVERS])(struct mover * m) = {move_small, move_collapse,
								  move_swapped, move_tail};
	struct mover *m = context;

	while (!atomic_load(&m->race->stop)) {
		moves[m->number](m);
		atomic_fetch_add(&m->race->moves, 1);
		/* Two CPUs, and the scans want theirs. */
		if (below(m, 8) == 0)
			usleep((useconds_t)below(m, 50));
	}
	return NULL;
}
