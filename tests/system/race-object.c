/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/cachestat.h"
#include "probe/mincore.h"
#include "race.h"

static char *address(struct race *r, uint64_t page)
{
	return r->map + page * r->page_size;
}

/* No two pages alike, and none of zeros, which a kernel may swap out without writing. */
static void fill(struct race *r, uint64_t page)
{
	uint64_t *words = (uint64_t *)(void *)address(r, page);

	words[0] = page + 1;
	words[100] = page * 77;
}

static void page_out(struct race *r, uint64_t first, uint64_t count)
{
	if (madvise(address(r, first), count * r->page_size, MADV_PAGEOUT) < 0)
		die("MADV_PAGEOUT: %s", strerror(errno));
}

static void punch(struct race *r, uint64_t first, uint64_t count)
{
	if (fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(first * r->page_size), (off_t)(count * r->page_size)) < 0)
		die("punch: %s", strerror(errno));
}

static enum role role_in_region(uint64_t page, uint64_t *random, enum role last)
{
	static const enum role even[] = {ROLE_PRESENT, ROLE_SWAPPED,   ROLE_HOLE,
					 ROLE_SWAPPED, ROLE_ALLOCATED, ROLE_SWAP_CACHE};

	switch (region_kind(page)) {
	case REGION_EVEN:
		return page % 2 ? ROLE_MOVE : even[page / 2 % 6];
	case REGION_RUNS:
		if (next_random(random) % 3 != 0)
			return last;
		return next_random(random) % 2 ? (enum role)(next_random(random) % 6) : ROLE_MOVE;
	case REGION_COLLAPSE:
		return page % 4 == 1 ? ROLE_MOVE : ROLE_PRESENT;
	case REGION_SWAPPED:
	default:
		return page % 16 == 5 ? ROLE_MOVE : ROLE_SWAPPED;
	}
}

static enum role role_for(struct race *r, uint64_t page, enum role last)
{
	enum role role = role_in_region(page, &r->seed, last);

	return role == ROLE_ALLOCATED && page >= race_allocated_end(r) ? ROLE_HOLE : role;
}

static void each_page(struct race *r, enum role role, void (*act)(struct race *r, uint64_t page))
{
	for (uint64_t page = 0; page < r->pages; page++)
		if (r->role[page] == role && region_kind(page) < REGION_COLLAPSE)
			act(r, page);
}

static void fill_and_page_out(struct race *r, uint64_t page)
{
	fill(r, page);
	page_out(r, page, 1);
}

/* A page that sits in another CPU's batch is left alone: it is tried again. */
static void page_out_again(struct race *r, uint64_t page)
{
	unsigned char core = 0;

	if (mincore(address(r, page), r->page_size, &core) == 0 && (core & 1))
		fill_and_page_out(r, page);
}

static void allocate(struct race *r, uint64_t page)
{
	if (fallocate(r->fd, 0, (off_t)(page * r->page_size), (off_t)r->page_size) < 0)
		die("fallocate: %s", strerror(errno));
}

/* Everything in the group goes, that which is still in the swap cache too. */
static void reclaim_group(struct race *r)
{
	char path[256];
	int fd;

	if (!r->group)
		return;
	snprintf(path, sizeof(path), "%s/memory.reclaim", r->group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/memory.force_empty", r->group);
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	for (int i = 0; fd >= 0 && i < 10; i++) {
		if (write(fd, "1G", 2) < 0 && errno == EINVAL && write(fd, "0", 1) < 0)
			continue;
	}
	if (fd >= 0)
		close(fd);
}

static void *map_aligned(struct race *r)
{
	size_t align = REGION * r->page_size, size = r->pages * r->page_size;
	char *area = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map = (char *)(((uintptr_t)area + align - 1) / align * align);

	if (area == MAP_FAILED ||
	    mmap(map, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return map;
}

static void collapse_region(struct race *r, uint64_t first)
{
	for (uint64_t page = first; page < first + REGION; page++)
		fill(r, page);
}

/* Written as a large folio if the system makes such, and paged out as a whole. */
static void swap_region(struct race *r, uint64_t first)
{
	punch(r, first, REGION);
	for (uint64_t page = first; page < first + REGION; page++)
		fill(r, page);
	page_out(r, first, REGION);
}

/*
 * Only folios that fit into what is marked are made: where all of a region is, of 512 pages; where
 * some is missing, of 64; of 16 and 4 where there are but strips.
 */
static void mark_region(struct race *r, uint64_t first)
{
	uint64_t variant = first / REGION / REGION_KINDS % 3, step = REGION, count = REGION;

	if (region_kind(first) == REGION_SWAPPED && variant == 1) {
		count = REGION - 64;
	} else if (region_kind(first) == REGION_SWAPPED && variant == 2) {
		step = 32;
		count = 20;
	}
	for (uint64_t page = first; page < first + REGION; page += step)
		if (madvise(address(r, page), count * r->page_size, MADV_HUGEPAGE) < 0)
			return;
}

static void make_large_regions(struct race *r)
{
	for (uint64_t first = 0; first < r->pages; first += REGION) {
		if (region_kind(first) < REGION_COLLAPSE)
			continue;
		mark_region(r, first);
		if (region_kind(first) == REGION_COLLAPSE)
			collapse_region(r, first);
		else
			swap_region(r, first);
	}
}

void object_make(struct race *r)
{
	enum role last = ROLE_MOVE;

	r->fd = memfd_create("shmstate-race", MFD_CLOEXEC);
	if (r->fd < 0 || ftruncate(r->fd, (off_t)(r->pages * r->page_size)) < 0)
		die("memfd: %s", strerror(errno));
	r->map = map_aligned(r);
	r->role = calloc(r->pages, 1);
	if (!r->role)
		die("no memory");
	for (uint64_t page = 0; page < r->pages; page++)
		r->role[page] = last = role_for(r, page, last);
	each_page(r, ROLE_SWAPPED, fill_and_page_out);
	for (int i = 0; i < 5; i++)
		each_page(r, ROLE_SWAPPED, page_out_again);
	reclaim_group(r);
	each_page(r, ROLE_ALLOCATED, allocate);
	object_repair(r);
}

void object_repair(struct race *r)
{
	each_page(r, ROLE_PRESENT, fill);
	each_page(r, ROLE_SWAP_CACHE, fill_and_page_out);
	make_large_regions(r);
}

static bool agrees(enum role role, enum page_state state)
{
	switch (role) {
	case ROLE_MOVE:
		return false;
	case ROLE_HOLE:
		return state == PAGE_HOLE;
	case ROLE_ALLOCATED:
		return state == PAGE_ALLOCATED;
	case ROLE_PRESENT:
		return state == PAGE_PRESENT;
	case ROLE_SWAPPED:
	case ROLE_SWAP_CACHE:
		return state == PAGE_SWAPPED || state == PAGE_SWAP_CACHE;
	}
	return false;
}

/* Where there is no cachestat, what lies in a slot is taken to be what was put there. */
static enum page_state look_without_cachestat(struct race *r, uint64_t page, bool in_core)
{
	off_t offset = (off_t)(page * r->page_size);
	enum role role = (enum role)r->role[page];

	if (lseek(r->fd, offset, SEEK_DATA) != offset)
		return in_core ? PAGE_UNKNOWN : role == ROLE_ALLOCATED ? PAGE_ALLOCATED : PAGE_HOLE;
	if (!in_core)
		return PAGE_SWAPPED;
	return role == ROLE_SWAPPED || role == ROLE_SWAP_CACHE ? PAGE_SWAP_CACHE : PAGE_PRESENT;
}

static enum page_state look_at(struct race *r, uint64_t page, bool in_core)
{
	struct slot_counts counts;

	if (!kcaps_has(&r->caps, KCAP_CACHESTAT))
		return look_without_cachestat(r, page, in_core);
	if (cachestat_count(r->fd, r->page_size, page, 1, &counts) < 0)
		die("cachestat: %s", strerror(errno));
	if (counts.folios)
		return in_core ? PAGE_PRESENT : PAGE_ALLOCATED;
	if (counts.entries)
		return in_core ? PAGE_SWAP_CACHE : PAGE_SWAPPED;
	return in_core ? PAGE_UNKNOWN : PAGE_HOLE;
}

enum page_state object_look_at(struct race *r, uint64_t page)
{
	struct mincore_map map = {.fd = r->fd, .page_size = r->page_size};
	unsigned char core = 0;
	int error = mincore_read(&map, page, 1, &core);

	mincore_unmap(&map);
	if (error < 0)
		die("mincore: %s", strerror(-error));
	return look_at(r, page, core & 1);
}

void object_look(struct race *r, struct planes *ret)
{
	unsigned char *core = malloc(r->pages);
	/* Apart from the one that has pages mapped: of those mincore would say what the table says.
	 */
	void *map = mmap(NULL, r->pages * r->page_size, PROT_NONE, MAP_SHARED, r->fd, 0);

	if (!core || map == MAP_FAILED || mincore(map, r->pages * r->page_size, core) < 0)
		die("mincore: %s", strerror(errno));
	munmap(map, r->pages * r->page_size);
	for (uint64_t word = 0; word < r->pages / 64; word++) {
		for (int b = 0; b < 3; b++)
			ret->state[b][word] = 0;
		ret->held[word] = 0;
	}
	for (uint64_t page = 0; page < r->pages; page++) {
		enum page_state state;

		if (r->role[page] == ROLE_MOVE)
			continue;
		state = look_at(r, page, core[page] & 1);
		for (int b = 0; b < 3; b++)
			ret->state[b][page / 64] |= (uint64_t)(state >> b & 1) << page % 64;
		ret->held[page / 64] |= (uint64_t)agrees(r->role[page], state) << page % 64;
	}
	free(core);
}
