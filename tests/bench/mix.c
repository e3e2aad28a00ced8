/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs of random length: holes and data, and within data present and swapped pages.
 *
 * A stretch of data is written through a mapping that ends where it ends, for a large folio is as
 * large as mapping, alignment and settings allow (run-bench sets them to "advise"). What is paged
 * out as a whole goes to swap in large folios; paging out a part of one cuts it.
 */
#include <errno.h>
#include <sys/mman.h>

#include "bench.h"
#include "util/util.h"

#define STRETCH_BITS 13 /* holes and data: up to 8191 pages */
#define RUN_BITS 10     /* present and swapped in data: up to 1023 */

/* The same numbers on every run: tables can be compared. */
static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed >> 16;
}

/* From 1 page on; each power of two is as likely as the next. */
static uint64_t draw_length(uint64_t *seed, unsigned bits, uint64_t most)
{
	uint64_t power = (uint64_t)1 << draw(seed) % bits;
	uint64_t length = power + draw(seed) % power;

	return MIN(length, most);
}

static int map_over(struct bench_object *o, const struct page_range *part, bool data)
{
	char *at = o->address + part->first * o->page_size;
	uint64_t bytes = part->count * o->page_size;
	void *map = data ? mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, o->fd,
				(off_t)(part->first * o->page_size))
			 : mmap(at, bytes, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	return map == MAP_FAILED ? -errno : 0;
}

/* Gives those of these pages that are in core a page table entry again. Returns how many. */
static uint64_t touch_in_core(struct bench_object *o, uint64_t first, uint64_t count)
{
	static unsigned char vec[1 << RUN_BITS];
	char *at = o->address + first * o->page_size;
	uint64_t touched = 0;

	if (mincore(at, count * o->page_size, vec) < 0)
		return 0;
	for (uint64_t i = 0; i < count; i++) {
		if (vec[i] & 1) {
			(void)*(volatile char *)(at + i * o->page_size);
			touched++;
		}
	}
	return touched;
}

/*
 * A large folio that reaches beyond the run is cut first, and comes out of that without page table
 * entries, by which alone the kernel finds what to page out.
 */
static int page_out_run(struct bench_object *o, uint64_t first, uint64_t count)
{
	int r;

	for (unsigned tries = 0; tries < 4; tries++) {
		r = bench_page_out(o, first, count);
		if (r < 0 || touch_in_core(o, first, count) == 0)
			return r;
	}
	return 0;
}

static int page_out_runs(struct bench_object *o, const struct page_range *data, uint64_t *seed)
{
	uint64_t at = data->first, end = data->first + data->count;
	bool swap = draw(seed) % 2;
	int r = 0;

	for (; at < end && r == 0; swap = !swap) {
		uint64_t length = draw_length(seed, RUN_BITS, end - at);

		if (swap) {
			r = page_out_run(o, at, length);
			o->in_core -= length;
		}
		at += length;
	}
	return r;
}

static int make_data(struct bench_object *o, const struct page_range *data, uint64_t *seed)
{
	int r = map_over(o, data, true);

	if (r < 0)
		return r;
	/* without large folios in shared memory there are small ones only */
	if (draw(seed) % 4)
		madvise(o->address + data->first * o->page_size, data->count * o->page_size,
			MADV_HUGEPAGE);
	bench_fill(o, data->first, data->count);
	o->in_core += data->count;
	switch (draw(seed) % 4) {
	case 0:
		break;
	case 1:
		r = bench_page_out(o, data->first, data->count);
		o->in_core -= data->count;
		break;
	default:
		r = page_out_runs(o, data, seed);
	}
	return r < 0 ? r : map_over(o, data, false);
}

int bench_make_mix(struct bench_object *o)
{
	struct page_range all = {.count = o->pages}, stretch = {0};
	uint64_t seed = 0x9e3779b97f4a7c15;
	int r = map_over(o, &all, false);

	o->in_core = 0;
	while (stretch.first < o->pages && r == 0) {
		stretch.count = draw_length(&seed, STRETCH_BITS, o->pages - stretch.first);
		if (draw(&seed) % 3)
			r = make_data(o, &stretch, &seed);
		stretch.first += stretch.count;
	}
	return r < 0 ? r : map_over(o, &all, true);
}
