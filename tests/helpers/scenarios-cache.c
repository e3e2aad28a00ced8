// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The swap cache: pages that were written to the swap and not let go of yet, and pages that were
 * read ahead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmfactory.h"

enum {
	CLUSTER = 3, /* up to 8 pages are read for one */
	STEP = 256,  /* runs of pages are touched at this distance */
	RUN = 6,     /* that many: the kernel reads ahead only where touches are in sequence */
};

static enum page_state plan_cache(uint64_t page, uint64_t pages)
{
	(void)page, (void)pages;
	return STATE_SWAP_CACHE;
}

static enum page_state plan_half_cache(uint64_t page, uint64_t pages)
{
	(void)pages;
	return page & 1 ? STATE_SWAP_CACHE : STATE_SWAPPED;
}

/* So few that nr_swapcached, which each CPU adds to in lots, may still say 0. */
static enum page_state plan_few_cache(uint64_t page, uint64_t pages)
{
	(void)pages;
	return page < 8 ? STATE_SWAP_CACHE : STATE_PRESENT;
}

static void make_few(struct factory *f)
{
	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build(f, plan_few_cache);
}

static void make_paged_out(struct factory *f)
{
	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build(f, plan_cache);
}

static void make_half(struct factory *f)
{
	object_create(f, KIND_DELETED, f->pages * f->page_size);
	build(f, plan_half_cache);
}

static void make_back_in(struct factory *f)
{
	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	build(f, plan_half_cache);
	touch_pages(f, 0, f->pages / 7, 7);
}

/*
 * What came into the swap cache beside the pages that were touched: pages that are in core and
 * still swap entries.
 */
static uint64_t find_neighbours(struct factory *f, uint64_t first)
{
	size_t length = STEP * f->page_size;
	unsigned char core[STEP];
	bool value[STEP];
	uint64_t i, found = 0;
	char *map =
		mmap(NULL, length, PROT_READ, MAP_SHARED, object_own_fd(f), first * f->page_size);

	if (map == MAP_FAILED || mincore(map, length, core) < 0)
		die("mincore: %s", strerror(errno));
	munmap(map, length);
	oracle_value_map(f, first, STEP, value);
	for (i = 0; i < STEP; i++) {
		if (!(core[i] & 1) || !value[i])
			continue;
		expect_set(&f->object.expect, first + i, 1, SET(STATE_SWAP_CACHE));
		found++;
	}
	return found;
}

static uint64_t count_swap_cache(void)
{
	char ignored[8];

	read_text("/proc/sys/vm/stat_refresh", ignored, sizeof(ignored));
	return vmstat("nr_swapcached");
}

static void make_readahead(struct factory *f)
{
	uint64_t page, before, found = 0;
	char text[8];

	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	swap_out_pages(f, 0, f->pages, 1);
	if (f->swap == SWAP_MIXED)
		cannot("there are several swaps of the highest priority");
	if (expect_get(&f->object.expect, 0) != SET(STATE_SWAPPED))
		cannot("the swap cache cannot be emptied here: no memory cgroup");
	before = count_swap_cache();
	snprintf(text, sizeof(text), "%d", CLUSTER);
	write_text("/proc/sys/vm/page-cluster", text);
	for (page = STEP / 2; page + STEP / 2 < f->pages; page += STEP)
		touch_pages(f, page, RUN, 1);
	write_text("/proc/sys/vm/page-cluster", "0");
	usleep(200000); /* the neighbours are read without anyone waiting for them */

	for (page = 0; page + STEP <= f->pages; page += STEP)
		found += find_neighbours(f, page);
	if (!found)
		die("nothing was read ahead");
	/* the second is of the whole system: a witness, if nobody else swaps at the time */
	snprintf(f->note, sizeof(f->note), " readahead=%llu swapcached=%lld",
		 (unsigned long long)found, (long long)(count_swap_cache() - before));
}

const struct scenario cache_scenarios[] = {
	{"swap-cache", "paged out to a disk and still in the swap cache", NEEDS_ASYNC, 0,
	 make_paged_out},
	{"swap-cache-few", "eight pages in the swap cache", NEEDS_ASYNC, 0, make_few},
	{"swap-cache-half", "every second page in the swap cache", NEEDS_ASYNC, 0, make_half},
	{"swap-cache-touched", "the same, some pages taken back", NEEDS_ASYNC, 0, make_back_in},
	{"readahead", "neighbours of touched pages, read ahead", NEEDS_ASYNC, 0, make_readahead},
	{NULL, NULL, 0, 0, NULL},
};
