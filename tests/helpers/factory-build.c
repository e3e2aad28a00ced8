// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Brings pages into states.
 *
 * All of it goes through short-lived mappings, for MADV_PAGEOUT moves a page only while exactly
 * one mapping has it. The object's own mapping stays without page table entries unless a scenario
 * touches it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmfactory.h"

enum {
	ALIGN = 2 << 20, /* so that large folios can be mapped and allocated */
};

/* A set of pages: every step-th from first on, or those for which the plan has the state. */
struct mask {
	uint64_t first;
	uint64_t end;
	unsigned step;
	plan_fn plan;
	enum page_state state;
	uint64_t pages;
};

static bool meant(const struct mask *mask, uint64_t page)
{
	if (page < mask->first || page >= mask->end)
		return false;
	if (mask->plan)
		return mask->plan(page, mask->pages) == mask->state;
	return (page - mask->first) % mask->step == 0;
}

static struct mask stepped(uint64_t first, uint64_t count, unsigned step)
{
	return (struct mask){.first = first, .end = first + (count - 1) * step + 1, .step = step};
}

static void expect_mask(struct factory *f, const struct mask *mask, unsigned set)
{
	uint64_t page;

	for (page = mask->first; page < mask->end; page++)
		if (meant(mask, page))
			expect_set(&f->object.expect, page, 1, set);
}

/* ---- windows ------------------------------------------------------------------------------ */

static char *window_address(struct factory *f)
{
	size_t length = WINDOW_PAGES * f->page_size;
	char *area;

	if (f->window)
		return f->window;
	area = mmap(NULL, length + ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (area == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	f->window = (char *)(((uintptr_t)area + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
	return f->window;
}

static int writable_fd(struct factory *f)
{
	return f->object.fd >= 0 ? f->object.fd : object_own_fd(f);
}

/* Windows begin at multiples of their size, so that alignment is that of the object. */
static char *window_map(struct factory *f, uint64_t first, size_t *ret_length)
{
	uint64_t left = f->object.pages - first;
	size_t length = (left < WINDOW_PAGES ? left : WINDOW_PAGES) * f->page_size;
	char *map = mmap(window_address(f), length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 writable_fd(f), first * f->page_size);

	if (map == MAP_FAILED)
		die("mmap of a window: %s", strerror(errno));
	*ret_length = length;
	return map;
}

static void window_unmap(struct factory *f)
{
	/* the range of addresses stays ours */
	if (mmap(f->window, WINDOW_PAGES * f->page_size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
}

/* No two pages alike, and none of zeros, which a kernel may swap out without writing. */
void fill_page(char *address, uint64_t page, size_t page_size)
{
	uint64_t *word = (uint64_t *)address;
	size_t i;

	for (i = 0; i < page_size / sizeof(*word); i += 64)
		word[i] = 0x5348000000000000ull + (page << 8) + i + 1;
}

static uint64_t fill_window(struct factory *f, const struct mask *mask, uint64_t first, char *map,
			    size_t length)
{
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < length / f->page_size; i++)
		if (meant(mask, first + i)) {
			fill_page(map + i * f->page_size, first + i, f->page_size);
			count++;
		}
	return count;
}

uint64_t page_out(struct factory *f, char *address, size_t length)
{
	uint64_t before = object_swapped(f);

	if (madvise(address, length, MADV_PAGEOUT) < 0)
		die("MADV_PAGEOUT: %s", strerror(errno));
	return object_swapped(f) - before;
}

/*
 * Writes a window's pages and pages them out. A page that another processor still holds in a
 * batch stays; after one more write it has a page table entry again and can be tried again.
 */
static void page_out_window(struct factory *f, const struct mask *mask, uint64_t first)
{
	uint64_t before = object_swapped(f), wanted = 0, moved = 0;
	size_t length;
	char *map = window_map(f, first, &length);
	int tries;

	for (tries = 0; tries < 20; tries++) {
		wanted = fill_window(f, mask, first, map, length);
		if (!wanted)
			break;
		if (madvise(map, length, MADV_PAGEOUT) < 0)
			die("MADV_PAGEOUT: %s", strerror(errno));
		moved = object_swapped(f) - before;
		if (moved >= wanted)
			break;
		usleep(1000 << (tries < 8 ? tries : 8));
	}
	window_unmap(f);
	if (moved < wanted)
		die("of %llu pages from %llu on only %llu could be paged out (is the swap full?)",
		    (unsigned long long)wanted, (unsigned long long)first,
		    (unsigned long long)moved);
}

typedef void (*window_fn)(struct factory *f, const struct mask *mask, uint64_t first);

static void write_window(struct factory *f, const struct mask *mask, uint64_t first)
{
	size_t length;
	char *map = window_map(f, first, &length);

	fill_window(f, mask, first, map, length);
	window_unmap(f);
}

static void each_window(struct factory *f, const struct mask *mask, window_fn fn)
{
	uint64_t first;

	for (first = mask->first / WINDOW_PAGES * WINDOW_PAGES; first < mask->end;
	     first += WINDOW_PAGES)
		fn(f, mask, first);
}

/* ---- the states ----------------------------------------------------------------------------- */

static uint64_t count_in_core(struct factory *f, const struct mask *mask)
{
	static unsigned char core[WINDOW_PAGES];
	uint64_t first, count = 0;

	for (first = mask->first / WINDOW_PAGES * WINDOW_PAGES; first < mask->end;
	     first += WINDOW_PAGES) {
		size_t length, i;
		char *map = window_map(f, first, &length);

		if (mincore(map, length, core) < 0)
			die("mincore: %s", strerror(errno));
		for (i = 0; i < length / f->page_size; i++)
			count += (core[i] & 1) && meant(mask, first + i);
	}
	window_unmap(f);
	return count;
}

static void drop_mask(struct factory *f, const struct mask *mask)
{
	unsigned set = SET(STATE_SWAPPED);
	int tries;

	if (f->swap == SWAP_SYNC) {
		expect_mask(f, mask, set);
		return;
	}
	for (tries = 0; f->group[0] && tries < 400; tries++) {
		group_reclaim(f);
		if (!count_in_core(f, mask)) {
			expect_mask(f, mask, set);
			return;
		}
		usleep(25000);
	}
	/* Not forced out: the kernel may or may not do it while the object is looked at. */
	expect_mask(f, mask, set | SET(STATE_SWAP_CACHE));
}

void drop_swap_cache(struct factory *f, uint64_t first, uint64_t count, unsigned step)
{
	struct mask mask = stepped(first, count, step);

	drop_mask(f, &mask);
}

static void swap_out_mask(struct factory *f, const struct mask *mask)
{
	if (f->swap == SWAP_NONE)
		cannot("no swap is on");
	/* Written in a group of their own, they alone are what a reclaim of the group can take. */
	group_enter(f);
	each_window(f, mask, page_out_window);
	group_leave(f);
	drop_mask(f, mask);
}

static void swap_cache_mask(struct factory *f, const struct mask *mask)
{
	unsigned set = SET(STATE_SWAP_CACHE);

	if (f->swap == SWAP_SYNC)
		set = SET(STATE_SWAPPED);
	else if (f->swap == SWAP_MIXED)
		set |= SET(STATE_SWAPPED);
	each_window(f, mask, page_out_window);
	expect_mask(f, mask, set);
}

static void allocate_mask(struct factory *f, const struct mask *mask)
{
	uint64_t page, end;

	for (page = mask->first; page < mask->end; page = end) {
		end = page + 1;
		if (!meant(mask, page))
			continue;
		while (end < mask->end && meant(mask, end))
			end++;
		if (fallocate(writable_fd(f), 0, page * f->page_size, (end - page) * f->page_size))
			die("fallocate: %s", strerror(errno));
	}
	expect_mask(f, mask, SET(STATE_ALLOCATED));
}

static void write_mask(struct factory *f, const struct mask *mask)
{
	each_window(f, mask, write_window);
	expect_mask(f, mask, SET(STATE_PRESENT));
}

void build(struct factory *f, plan_fn plan)
{
	static const struct {
		enum page_state state;
		void (*fn)(struct factory *f, const struct mask *mask);
	} steps[] = {
		/* first what a reclaim of the group must not find anything else beside */
		{STATE_SWAPPED, swap_out_mask},
		{STATE_SWAP_CACHE, swap_cache_mask},
		{STATE_ALLOCATED, allocate_mask},
		{STATE_PRESENT, write_mask},
	};
	struct mask mask = {.end = f->object.pages, .plan = plan, .pages = f->object.pages};
	uint64_t page;
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		mask.state = steps[i].state;
		for (page = 0; page < mask.end && !meant(&mask, page); page++)
			;
		if (page < mask.end)
			steps[i].fn(f, &mask);
	}
}

void write_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step)
{
	struct mask mask = stepped(first, count, step);

	write_mask(f, &mask);
}

void swap_out_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step)
{
	struct mask mask = stepped(first, count, step);

	swap_out_mask(f, &mask);
}

void swap_cache_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step)
{
	struct mask mask = stepped(first, count, step);

	if (f->swap == SWAP_NONE)
		cannot("no swap is on");
	swap_cache_mask(f, &mask);
}

void allocate_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step)
{
	struct mask mask = stepped(first, count, step);

	allocate_mask(f, &mask);
}

/* Each page through a mapping of its own, so that no neighbour is mapped along with it. */
void touch_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		uint64_t page = first + i * step;
		volatile char *map =
			mmap(window_address(f), f->page_size, PROT_READ, MAP_SHARED | MAP_FIXED,
			     object_own_fd(f), page * f->page_size);

		if (map == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		(void)*map;
		expect_set(&f->object.expect, page, 1, SET(STATE_PRESENT));
	}
	window_unmap(f);
}
