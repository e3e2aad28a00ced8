// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Large folios. Groups of pages, each of them one folio, are swapped out and in as a whole where
 * the kernel can, and split where it cannot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "shmfactory.h"

static unsigned order;

static enum page_state plan_groups(uint64_t page, uint64_t pages)
{
	(void)pages;
	switch ((page >> order) % 8) {
	case 0:
	case 3:
	case 4:
	case 6:
		return STATE_SWAPPED;
	case 1:
		return STATE_PRESENT;
	case 2:
		return STATE_ALLOCATED;
	case 5:
		return STATE_SWAP_CACHE;
	default:
		return STATE_HOLE;
	}
}

/* Tells what is swapped from smaps, for how much came in with a page is the kernel's choice. */
static void learn(struct factory *f, uint64_t first, uint64_t count)
{
	bool value[512];
	uint64_t i;

	oracle_value_map(f, first, count, value);
	for (i = 0; i < count; i++)
		if (!value[i])
			expect_set(&f->object.expect, first + i, 1, SET(STATE_PRESENT));
}

/* Touches a page of every eighth group, and so takes all or a part of the group back. */
static void take_back(struct factory *f)
{
	uint64_t group = 1ull << order, first;

	for (first = group * 4; first + group <= f->pages; first += group * 64) {
		touch_pages(f, first + group / 2 + 1, 1, 1);
		learn(f, first, group);
	}
}

static void build_large(struct factory *f)
{
	f->large = true;
	build(f, plan_groups);
	take_back(f);
}

static void make_order(struct factory *f, unsigned which)
{
	char path[128];

	order = which;
	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/transparent_hugepage/hugepages-%zukB/shmem_enabled",
		 (f->page_size << order) / 1024);
	if (!set_knob(path, "always"))
		cannot("%s cannot be set", path);
	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build_large(f);
	/* what is read from now on must not bring more than a page */
	write_text(path, "never");
}

static void make_order_2(struct factory *f)
{
	make_order(f, 2);
}

static void make_order_3(struct factory *f)
{
	make_order(f, 3);
}

static void make_order_4(struct factory *f)
{
	make_order(f, 4);
}

static void make_order_5(struct factory *f)
{
	make_order(f, 5);
}

static void make_order_6(struct factory *f)
{
	make_order(f, 6);
}

static void make_order_7(struct factory *f)
{
	make_order(f, 7);
}

static void make_order_8(struct factory *f)
{
	make_order(f, 8);
}

static void make_order_9(struct factory *f)
{
	make_order(f, 9);
}

static void make_huge_tmpfs(struct factory *f)
{
	order = 9;
	tmpfs_mount(f, "huge=always,mode=0700");
	object_create(f, KIND_TMPFS, f->pages * f->page_size);
	build_large(f);
	if (mount("shmfactory", f->dir, NULL, MS_REMOUNT, "huge=never") < 0)
		die("remount: %s", strerror(errno));
}

/*
 * All of it swapped as large folios, with a hole punched into every second one, which the kernel
 * reads in for that.
 */
static void make_huge_punched(struct factory *f)
{
	const uint64_t group = 512, skip = 100, count = 56;
	uint64_t first;

	f->large = true;
	tmpfs_mount(f, "huge=always,mode=0700");
	object_create(f, KIND_TMPFS, f->pages * f->page_size);
	swap_out_pages(f, 0, f->pages, 1);
	for (first = 0; first + group <= f->pages; first += group * 2) {
		if (fallocate(f->object.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (first + skip) * f->page_size, count * f->page_size) < 0)
			die("punch: %s", strerror(errno));
		learn(f, first, group);
		expect_set(&f->object.expect, first + skip, count, SET(STATE_HOLE));
	}
	if (mount("shmfactory", f->dir, NULL, MS_REMOUNT, "huge=never") < 0)
		die("remount: %s", strerror(errno));
}

const struct scenario large_scenarios[] = {
	{"huge-tmpfs", "tmpfs with huge=always, partly swapped", NEEDS_SWAP, 0, make_huge_tmpfs},
	{"huge-punched", "holes punched in large swapped folios", NEEDS_SWAP, 0, make_huge_punched},
	{"order-2", "memfd of folios of 4 pages", NEEDS_SWAP, 0, make_order_2},
	{"order-3", "memfd of folios of 8 pages", NEEDS_SWAP, 0, make_order_3},
	{"order-4", "memfd of folios of 16 pages", NEEDS_SWAP, 0, make_order_4},
	{"order-5", "memfd of folios of 32 pages", NEEDS_SWAP, 0, make_order_5},
	{"order-6", "memfd of folios of 64 pages", NEEDS_SWAP, 0, make_order_6},
	{"order-7", "memfd of folios of 128 pages", NEEDS_SWAP, 0, make_order_7},
	{"order-8", "memfd of folios of 256 pages", NEEDS_SWAP, 0, make_order_8},
	{"order-9", "memfd of folios of 512 pages", NEEDS_SWAP, 0, make_order_9},
	{NULL, NULL, 0, 0, NULL},
};
