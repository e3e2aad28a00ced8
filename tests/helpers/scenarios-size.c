// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Objects of odd sizes, and whose size changed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmfactory.h"

static enum page_state plan_cycle(uint64_t page, uint64_t pages)
{
	(void)pages;
	switch (page % 4) {
	case 0:
		return STATE_SWAPPED;
	case 1:
		return STATE_PRESENT;
	case 2:
		return STATE_HOLE;
	default:
		return STATE_ALLOCATED;
	}
}

static void resize(struct factory *f, uint64_t size)
{
	struct object *o = &f->object;

	if (ftruncate(o->fd, size) < 0)
		die("ftruncate: %s", strerror(errno));
	object_resized(f, size);
	munmap(o->address, o->mapped);
	o->address = NULL;
	object_map(f);
}

/* The kernel clears what lies beyond the end of the last page, for which it reads that page in. */
static void make_truncated(struct factory *f)
{
	uint64_t last = f->pages / 2 / 4 * 4;

	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build(f, plan_cycle);
	resize(f, last * f->page_size + 100);
	expect_set(&f->object.expect, last, 1, SET(STATE_PRESENT));
}

static void make_truncated_hole(struct factory *f)
{
	uint64_t last = f->pages / 2 / 4 * 4 + 2;

	object_create(f, KIND_TMPFS, f->pages * f->page_size);
	build(f, plan_cycle);
	resize(f, last * f->page_size + 1);
}

static void make_grown(struct factory *f)
{
	object_create(f, KIND_MEMFD, f->pages / 2 * f->page_size + 1);
	build(f, plan_cycle);
	resize(f, f->pages * f->page_size - 1);
}

static void make_one_byte(struct factory *f)
{
	object_create(f, KIND_MEMFD, 1);
	swap_out_pages(f, 0, 1, 1);
}

static void make_empty(struct factory *f)
{
	object_create(f, KIND_MEMFD, 0);
}

static void make_two_pages(struct factory *f)
{
	object_create(f, KIND_MEMFD, f->page_size + 1);
	swap_out_pages(f, 1, 1, 1);
	write_pages(f, 0, 1, 1);
}

/* Pages beyond the end cost memory but are no part of the object. */
static void make_beyond_end(struct factory *f)
{
	uint64_t size = f->pages * f->page_size - 5;

	object_create(f, KIND_MEMFD, size);
	build(f, plan_cycle);
	if (fallocate(f->object.fd, FALLOC_FL_KEEP_SIZE, (f->pages + 8) * f->page_size,
		      100 * f->page_size) < 0)
		die("fallocate: %s", strerror(errno));
}

/* 100 pages between the first and the last of 2 TiB, half of them swapped. */
static void make_sparse(struct factory *f)
{
	uint64_t pages = (2ull << 40) / f->page_size, step = (pages - 1) / 99, i;

	object_create(f, KIND_MEMFD, pages * f->page_size);
	for (i = 1; i < 100; i += 2)
		swap_out_pages(f, i * step, 1, 1);
	for (i = 0; i < 100; i += 2)
		write_pages(f, i * step, 1, 1);
}

const struct scenario size_scenarios[] = {
	{"truncated", "cut off in the middle of a swapped page", NEEDS_SWAP, 0, make_truncated},
	{"truncated-hole", "cut off in the middle of a hole", NEEDS_SWAP, 0, make_truncated_hole},
	{"grown", "made larger, from and to odd sizes", NEEDS_SWAP, 0, make_grown},
	{"one-byte", "one byte long, swapped", NEEDS_SWAP, 0, make_one_byte},
	{"empty", "no byte long", 0, 0, make_empty},
	{"two-pages", "one byte longer than a page", NEEDS_SWAP, 0, make_two_pages},
	{"beyond-end", "fallocate beyond the end, with KEEP_SIZE", NEEDS_SWAP, 0, make_beyond_end},
	{"sparse-2t", "100 pages scattered over 2 TiB", NEEDS_SWAP, 0, make_sparse},
	{NULL, NULL, 0, 0, NULL},
};
