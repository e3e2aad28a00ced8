/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "util/util.h"

#define SPARSE_BYTES ((uint64_t)64 << 30)
#define SPARSE_PAGES 100

void bench_object_done(struct bench_object *o)
{
	if (o->address)
		munmap(o->address, o->pages * o->page_size);
	closep(&o->fd);
	*o = (struct bench_object){.fd = -1};
}

static int object_make(struct bench_object *o, uint64_t bytes)
{
	o->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	o->pages = bytes / o->page_size;
	o->fd = memfd_create("shmstate-bench", MFD_CLOEXEC);
	if (o->fd < 0 || ftruncate(o->fd, (off_t)bytes) < 0)
		return -errno;
	o->address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (o->address == MAP_FAILED) {
		o->address = NULL;
		return -errno;
	}
	return 0;
}

/* No two pages alike, none of zeros: a page of zeros would not be written to swap. */
static void fill(struct bench_object *o)
{
	for (uint64_t i = 0; i < o->pages; i++)
		*(uint64_t *)(o->address + i * o->page_size) = i * 7919 + 1;
}

static int page_out(struct bench_object *o, uint64_t first, uint64_t count)
{
	return madvise(o->address + first * o->page_size, count * o->page_size, MADV_PAGEOUT) < 0
		       ? -errno
		       : 0;
}

static int make_present(struct bench_object *o, uint64_t bytes)
{
	int r = object_make(o, bytes);

	if (r == 0)
		fill(o);
	return r;
}

static int make_first_half(struct bench_object *o, uint64_t bytes)
{
	int r = make_present(o, bytes);

	return r < 0 ? r : page_out(o, 0, o->pages / 2);
}

static int make_second_half(struct bench_object *o, uint64_t bytes)
{
	int r = make_present(o, bytes);

	return r < 0 ? r : page_out(o, o->pages / 2, o->pages - o->pages / 2);
}

static int make_swapped(struct bench_object *o, uint64_t bytes)
{
	int r = make_present(o, bytes);

	return r < 0 ? r : page_out(o, 0, o->pages);
}

static int make_alternating(struct bench_object *o, uint64_t bytes)
{
	int r = make_present(o, bytes);

	for (uint64_t i = 0; i < o->pages && r == 0; i += 2)
		r = page_out(o, i, 1);
	return r;
}

/* 512 KiB swapped, 512 KiB present, and so on. */
static int make_runs(struct bench_object *o, uint64_t bytes)
{
	int r = make_present(o, bytes);

	for (uint64_t i = 0; i < o->pages && r == 0; i += 256)
		r = page_out(o, i, MIN(o->pages - i, 128));
	return r;
}

static int make_sparse(struct bench_object *o, uint64_t bytes)
{
	int r = object_make(o, bytes);

	for (uint64_t i = 0; i < SPARSE_PAGES && r == 0; i++)
		o->address[i * (o->pages / SPARSE_PAGES) * o->page_size] = 1;
	return r;
}

const struct bench_layout bench_layouts[] = {
	{"half-first", "first half swapped, the rest present", make_first_half, 0, true},
	{"half-second", "second half swapped, the rest present", make_second_half, 0, true},
	{"half-runs", "512 KiB swapped, 512 KiB present, ...", make_runs, 0, true},
	{"half-alternating", "every other page swapped", make_alternating, 0, true},
	{"swapped", "all swapped", make_swapped, 0, true},
	{"present", "all present", make_present, 0, false},
	{"sparse-64G", "64 GiB with 100 pages present", make_sparse, SPARSE_BYTES, false},
};
const size_t n_bench_layouts = ARRAY_SIZE(bench_layouts);
