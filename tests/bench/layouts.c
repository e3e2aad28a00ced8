/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "util/util.h"

#define ALIGNMENT ((uint64_t)2 << 20) /* so that large folios can be mapped as such */
#define SPARSE_BYTES ((uint64_t)2 << 40)
#define SPARSE_PAGES 100

void bench_object_done(struct bench_object *o)
{
	if (o->address)
		munmap(o->address, o->pages * o->page_size);
	closep(&o->fd);
	*o = (struct bench_object){.fd = -1};
}

/* An aligned range of addresses in which nothing is. */
static char *reserve(uint64_t bytes)
{
	char *area = mmap(NULL, bytes + ALIGNMENT, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t head;

	if (area == MAP_FAILED)
		return NULL;
	head = -(uintptr_t)area % ALIGNMENT;
	if (head)
		munmap(area, head);
	munmap(area + head + bytes, ALIGNMENT - head);
	return area + head;
}

int bench_object_make(struct bench_object *o, uint64_t bytes)
{
	*o = (struct bench_object){.fd = -1, .page_size = (uint64_t)sysconf(_SC_PAGESIZE)};
	o->pages = bytes / o->page_size;
	o->fd = memfd_create("shmstate-bench", MFD_CLOEXEC);
	if (o->fd < 0 || ftruncate(o->fd, (off_t)bytes) < 0)
		return -errno;
	o->address = reserve(bytes);
	if (!o->address)
		return -ENOMEM;
	if (mmap(o->address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, o->fd, 0) ==
	    MAP_FAILED)
		return -errno;
	return 0;
}

/* No two pages alike, none of zeros: a page of zeros would not be written to swap. */
void bench_fill(struct bench_object *o, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		*(uint64_t *)(o->address + i * o->page_size) = i * 7919 + 1;
}

int bench_page_out(struct bench_object *o, uint64_t first, uint64_t count)
{
	return madvise(o->address + first * o->page_size, count * o->page_size, MADV_PAGEOUT) < 0
		       ? -errno
		       : 0;
}

/* Calls fn for each stretch that has pages, present or swapped. */
static int each_data(const struct bench_object *o, void *context,
		     int (*fn)(const struct bench_object *o, const struct page_range *data,
			       const unsigned char *vec, void *context))
{
	const uint64_t most = 1 << 20;
	_cleanup_free_ unsigned char *vec = malloc(most);
	off_t end = (off_t)(o->pages * o->page_size), at = 0, stop;
	int r = vec ? 0 : -ENOMEM;

	while (r == 0 && at < end && (at = lseek(o->fd, at, SEEK_DATA)) >= 0) {
		struct page_range data = {.first = (uint64_t)at / o->page_size};
		void *map;

		stop = lseek(o->fd, at, SEEK_HOLE);
		if (stop < 0)
			return -errno;
		data.count = MIN(((uint64_t)stop / o->page_size) - data.first, most);
		map = mmap(NULL, data.count * o->page_size, PROT_NONE, MAP_SHARED, o->fd, at);
		if (map == MAP_FAILED)
			return -errno;
		r = mincore(map, data.count * o->page_size, vec) < 0 ? -errno
								     : fn(o, &data, vec, context);
		munmap(map, data.count * o->page_size);
		at += (off_t)(data.count * o->page_size);
	}
	return r < 0 ? r : at < 0 && errno != ENXIO ? -errno : 0;
}

static int count_one(const struct bench_object *o, const struct page_range *data,
		     const unsigned char *vec, void *context)
{
	uint64_t *count = context;

	(void)o;
	for (uint64_t i = 0; i < data->count; i++)
		*count += vec[i] & 1;
	return 0;
}

int bench_count_in_core(const struct bench_object *o, uint64_t *ret)
{
	uint64_t count = 0;
	int r = each_data(o, &count, count_one);

	if (r == 0)
		*ret = count;
	return r;
}

static int touch_one(const struct bench_object *o, const struct page_range *data,
		     const unsigned char *vec, void *context)
{
	(void)context;
	for (uint64_t i = 0; i < data->count; i++)
		if (vec[i] & 1)
			(void)*(volatile char *)(o->address + (data->first + i) * o->page_size);
	return 0;
}

int bench_map_in_core(struct bench_object *o)
{
	return each_data(o, NULL, touch_one);
}

/* ---- the layouts ------------------------------------------------------------------------------
 */

static int make_present(struct bench_object *o)
{
	bench_fill(o, 0, o->pages);
	o->in_core = o->pages;
	return 0;
}

static int make_half(struct bench_object *o)
{
	o->in_core = o->pages - o->pages / 2;
	return bench_page_out(o, 0, o->pages / 2);
}

static int make_swapped(struct bench_object *o)
{
	o->in_core = 0;
	return bench_page_out(o, 0, o->pages);
}

/* Of every so many pages the first few are swapped. */
static int make_stripes(struct bench_object *o, uint64_t every, uint64_t few)
{
	int r = 0;

	o->in_core = o->pages;
	for (uint64_t i = 0; i < o->pages && r == 0; i += every) {
		uint64_t count = MIN(o->pages - i, few);

		r = bench_page_out(o, i, count);
		o->in_core -= count;
	}
	return r;
}

static int make_third(struct bench_object *o)
{
	return make_stripes(o, 3, 1);
}

static int make_alternating(struct bench_object *o)
{
	return make_stripes(o, 2, 1);
}

static int make_runs(struct bench_object *o)
{
	return make_stripes(o, 256, 128);
}

static int make_sparse(struct bench_object *o)
{
	for (uint64_t i = 0; i < SPARSE_PAGES; i++)
		bench_fill(o, i * (o->pages / SPARSE_PAGES), 1);
	o->in_core = SPARSE_PAGES;
	return 0;
}

/* Each directly behind the one that it is made out of, as far as that goes: see main. */
const struct bench_layout bench_layouts[] = {
	{.name = "present", .help = "all present", .make = make_present},
	{.name = "half",
	 .help = "first half swapped, the rest present",
	 .from = "present",
	 .make = make_half,
	 .needs_swap = true},
	{.name = "swapped",
	 .help = "all swapped",
	 .from = "half",
	 .make = make_swapped,
	 .needs_swap = true},
	{.name = "third",
	 .help = "every third page swapped",
	 .from = "present",
	 .make = make_third,
	 .needs_swap = true},
	{.name = "mix",
	 .help = "random runs of hole, present, swapped; small and large folios",
	 .make = bench_make_mix,
	 .needs_swap = true},
	{.name = "runs",
	 .help = "512 KiB swapped, 512 KiB present, ...",
	 .from = "present",
	 .make = make_runs,
	 .needs_swap = true,
	 .minor = true},
	{.name = "alternating",
	 .help = "every other page swapped",
	 .from = "present",
	 .make = make_alternating,
	 .needs_swap = true,
	 .minor = true},
	{.name = "sparse",
	 .help = "2 TiB with 100 pages present",
	 .make = make_sparse,
	 .bytes = SPARSE_BYTES},
};
const size_t n_bench_layouts = ARRAY_SIZE(bench_layouts);

const struct bench_layout *bench_layout_find(const char *name)
{
	for (size_t i = 0; i < n_bench_layouts; i++)
		if (strcmp(bench_layouts[i].name, name) == 0)
			return &bench_layouts[i];
	return NULL;
}
