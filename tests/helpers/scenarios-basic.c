// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Objects of every kind with pages in every state that their swap allows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "shmfactory.h"

/* ---- plans ---------------------------------------------------------------------------------- */

/* Reproducible, without a period that could hide a mistake. */
static uint64_t scramble(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static enum page_state plan_mix(uint64_t page, uint64_t pages)
{
	static const enum page_state all[] = {STATE_HOLE, STATE_ALLOCATED, STATE_PRESENT,
					      STATE_SWAPPED, STATE_SWAP_CACHE};

	switch (page * 8 / pages) {
	case 0:
		return all[page / 37 % 5];
	case 1:
		return page & 1 ? STATE_PRESENT : STATE_SWAPPED;
	case 2:
		return page & 1 ? STATE_HOLE : STATE_SWAPPED;
	case 3:
		return page & 1 ? STATE_ALLOCATED : STATE_PRESENT;
	case 4:
		return all[scramble(page) % 5];
	case 5:
		return STATE_SWAPPED;
	case 6:
		return page % 3 ? STATE_ALLOCATED : STATE_SWAPPED;
	default:
		return all[scramble(page / 300) % 5];
	}
}

static enum page_state plan_present(uint64_t page, uint64_t pages)
{
	(void)page, (void)pages;
	return STATE_PRESENT;
}

static enum page_state plan_allocated(uint64_t page, uint64_t pages)
{
	(void)page, (void)pages;
	return STATE_ALLOCATED;
}

static enum page_state plan_swapped(uint64_t page, uint64_t pages)
{
	(void)page, (void)pages;
	return STATE_SWAPPED;
}

static enum page_state plan_other(uint64_t page, uint64_t pages)
{
	(void)pages;
	return page & 1 ? STATE_SWAPPED : STATE_PRESENT;
}

static enum page_state plan_third(uint64_t page, uint64_t pages)
{
	(void)pages;
	return page % 3 == 1 ? STATE_SWAPPED : STATE_PRESENT;
}

/* ---- kinds ---------------------------------------------------------------------------------- */

static void make(struct factory *f, enum object_kind kind, plan_fn plan)
{
	object_create(f, kind, f->pages * f->page_size);
	if (plan)
		build(f, plan);
}

static void make_memfd(struct factory *f)
{
	make(f, KIND_MEMFD, plan_mix);
}

static void make_tmpfs(struct factory *f)
{
	make(f, KIND_TMPFS, plan_mix);
}

static void make_deleted(struct factory *f)
{
	make(f, KIND_DELETED, plan_mix);
}

static void make_sysv(struct factory *f)
{
	make(f, KIND_SYSV, plan_mix);
}

static void make_anon(struct factory *f)
{
	make(f, KIND_ANON, plan_mix);
}

static void make_hole(struct factory *f)
{
	make(f, KIND_MEMFD, NULL);
}

static void make_allocated(struct factory *f)
{
	make(f, KIND_MEMFD, plan_allocated);
}

static void make_present(struct factory *f)
{
	make(f, KIND_MEMFD, plan_present);
}

static void make_swapped(struct factory *f)
{
	make(f, KIND_MEMFD, plan_swapped);
}

static void make_other(struct factory *f)
{
	make(f, KIND_MEMFD, plan_other);
}

static void make_third(struct factory *f)
{
	make(f, KIND_TMPFS, plan_third);
}

/* ---- holes, seals, locks -------------------------------------------------------------------- */

static void make_sealed(struct factory *f)
{
	static const int seals[] = {F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE,
				    F_SEAL_SEAL};
	struct object *o = &f->object;
	size_t i;

	make(f, KIND_MEMFD, plan_mix);
	munmap(o->address, o->mapped);
	for (i = 0; i < sizeof(seals) / sizeof(seals[0]); i++)
		if (fcntl(o->fd, F_ADD_SEALS, seals[i]) < 0)
			die("F_ADD_SEALS %#x: %s", seals[i], strerror(errno));
	o->address = mmap(NULL, o->mapped, PROT_READ, MAP_SHARED, object_own_fd(f), 0);
	if (o->address == MAP_FAILED)
		die("mmap: %s", strerror(errno));
}

static void punch(struct factory *f, uint64_t first, uint64_t count, bool by_madvise)
{
	struct object *o = &f->object;
	uint64_t offset = first * f->page_size, length = count * f->page_size;

	if (by_madvise
		    ? madvise(o->address + offset, length, MADV_REMOVE)
		    : fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length))
		die("punch: %s", strerror(errno));
	expect_set(&o->expect, first, count, SET(STATE_HOLE));
}

/* Every sixteenth run of 1 to 7 pages: over whatever the plan had put there. */
static void punched(struct factory *f, enum object_kind kind, bool by_madvise)
{
	uint64_t page;

	make(f, kind, plan_mix);
	for (page = 3; page + 8 < f->pages; page += 16)
		punch(f, page, 1 + page / 16 % 7, by_madvise);
	punch(f, f->pages / 2, f->pages / 16, by_madvise);
}

static void make_punched(struct factory *f)
{
	punched(f, KIND_MEMFD, false);
}

static void make_removed(struct factory *f)
{
	punched(f, KIND_ANON, true);
}

/* From 6.12 on such pages are only noted in a bitmap and never written to the swap. */
static void make_zero_filled(struct factory *f)
{
	struct object *o = &f->object;
	uint64_t page;
	int tries;

	make(f, KIND_MEMFD, NULL);
	group_enter(f);
	for (tries = 0; tries < 20 && object_swapped(f) < f->pages / 2; tries++) {
		for (page = 0; page < f->pages; page += 2)
			*(volatile char *)(o->address + page * f->page_size) = 0;
		page_out(f, o->address, o->mapped);
	}
	group_leave(f);
	if (object_swapped(f) < f->pages / 2)
		die("the pages of zeros could not be paged out");
	drop_swap_cache(f, 0, f->pages / 2, 2);
}

static void make_same_name(struct factory *f)
{
	int fd = memfd_create("shmfactory", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 64 * f->page_size) < 0)
		die("a second memfd: %s", strerror(errno));
	make(f, KIND_MEMFD, plan_other);
	snprintf(f->note, sizeof(f->note), " twin=%d", fd);
}

static void make_mlocked(struct factory *f)
{
	struct object *o = &f->object;
	uint64_t half = f->pages / 2;

	make(f, KIND_MEMFD, NULL);
	swap_out_pages(f, half, f->pages - half, 1);
	write_pages(f, 0, half, 1);
	if (mlock(o->address, half * f->page_size) < 0)
		die("mlock: %s", strerror(errno));
	if (madvise(o->address, half * f->page_size, MADV_PAGEOUT) == 0)
		die("MADV_PAGEOUT of locked memory should fail");
}

static void make_shm_locked(struct factory *f)
{
	struct object *o = &f->object;
	uint64_t page;

	make(f, KIND_SYSV, NULL);
	if (shmctl(o->shmid, SHM_LOCK, NULL) < 0)
		die("SHM_LOCK: %s", strerror(errno));
	for (page = 0; page < f->pages; page += 2)
		fill_page(o->address + page * f->page_size, page, f->page_size);
	if (page_out(f, o->address, o->mapped))
		die("locked pages were paged out");
	for (page = 0; page < f->pages; page += 2)
		expect_set(&o->expect, page, 1, SET(STATE_PRESENT));
}

static void make_noswap(struct factory *f)
{
	struct object *o = &f->object;

	tmpfs_mount(f, "noswap,mode=0700");
	make(f, KIND_TMPFS, NULL);
	allocate_pages(f, 0, f->pages / 4, 1);
	write_pages(f, f->pages / 4, f->pages / 4, 2);
	if (page_out(f, o->address, o->mapped))
		die("pages of a noswap tmpfs were paged out");
}

const struct scenario basic_scenarios[] = {
	{"memfd", "memfd: runs, alternations and noise of all states", NEEDS_SWAP, 0, make_memfd},
	{"tmpfs", "the same in a tmpfs file", NEEDS_SWAP, 0, make_tmpfs},
	{"tmpfs-deleted", "the same in a deleted tmpfs file", NEEDS_SWAP, 0, make_deleted},
	{"sysv", "the same in a SysV segment", NEEDS_SWAP, 0, make_sysv},
	{"anon", "the same in anonymous shared memory", NEEDS_SWAP, 0, make_anon},
	{"all-hole", "nothing in it", 0, 0, make_hole},
	{"all-allocated", "fallocated, never written", 0, 0, make_allocated},
	{"all-present", "all in core", 0, 0, make_present},
	{"all-swapped", "all swapped", NEEDS_SWAP, 0, make_swapped},
	{"every-other", "every second page swapped", NEEDS_SWAP, 0, make_other},
	{"every-third", "every third page swapped", NEEDS_SWAP, 0, make_third},
	{"sealed", "all states, with all seals", NEEDS_SWAP, 0, make_sealed},
	{"punched", "holes punched over all states", NEEDS_SWAP, 0, make_punched},
	{"punched-madvise", "the same by MADV_REMOVE", NEEDS_SWAP, 0, make_removed},
	{"zero-filled", "swapped pages that hold zeros only", NEEDS_SWAP, 0, make_zero_filled},
	{"same-name", "another memfd has the same name", NEEDS_SWAP, 2, make_same_name},
	{"mlocked", "half of it locked in core", NEEDS_SWAP, 2, make_mlocked},
	{"shm-locked", "SysV segment under SHM_LOCK", NEEDS_SWAP, 2, make_shm_locked},
	{"noswap", "tmpfs with the noswap option", 0, 2, make_noswap},
	{NULL, NULL, 0, 0, NULL},
};
