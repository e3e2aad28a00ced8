/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "probe/try.h"
#include "probe/walker-inside.h"
#include "probe/walker.h"
#include "util/util.h"

#include "bpf/exact.skel.h"

/* Preemption is off in a chunk: one that took longer makes the next one smaller. */
#define CHUNK_NS_MAX UINT64_C(500000)

struct walker {
	struct exact_bpf *programs;
	uint64_t a_ops;   /* by which the kernel's shmem objects are known */
	uint64_t records; /* how many a chunk may make */
	struct walker_stats stats;
};

/* Library code prints nothing: what went wrong is in errno. */
static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Runs a program once, on this CPU. Returns what it returned, or a negative errno. */
static int run_program(const struct bpf_program *program, const void *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = (uint32_t)size);
	int r = bpf_prog_test_run_opts(bpf_program__fd(program), &options);

	return r < 0 ? r : (int)options.retval;
}

struct swap_shared *walker_swap(struct walker *w)
{
	return &w->programs->bss->shared;
}

int walker_swap_find(struct walker *w)
{
	int r = run_program(w->programs->progs.swap_symbols, NULL, 0);

	return r < 0 ? r : run_program(w->programs->progs.swap_texts, NULL, 0);
}

int walker_swap_types(struct walker *w, uint64_t swap_info, uint64_t zswap_trees)
{
	uint64_t args[] = {swap_info, zswap_trees};

	return run_program(w->programs->progs.swap_types, args, sizeof(args));
}

int walker_swap_copy(struct walker *w, uint64_t n_runs, bool use_table)
{
	uint64_t args[] = {n_runs, use_table};

	return run_program(w->programs->progs.swap_copy, args, sizeof(args));
}

int walker_swap_contents(struct walker *w, uint64_t first, uint64_t n_runs)
{
	uint64_t args[] = {first, n_runs};

	return run_program(w->programs->progs.swap_contents, args, sizeof(args));
}

static int read_chunk(struct walker *w, const struct walk_args *args, struct walker_chunk *ret)
{
	const struct walk_result *result = &w->programs->bss->result;
	int r = run_program(w->programs->progs.walk_chunk, args, sizeof(*args));

	if (r != 0)
		return r < 0 ? r : -EBADF;
	w->stats.chunks++;
	w->stats.total_ns += result->ns;
	w->stats.max_ns = MAX(w->stats.max_ns, result->ns);
	/* It may have been the hypervisor: let it grow again. */
	if (result->ns > CHUNK_NS_MAX)
		w->records = MAX(w->records / 2, (uint64_t)WALK_NODE_PAGES);
	else if (result->ns < CHUNK_NS_MAX / 4)
		w->records = MIN(w->records * 2, (uint64_t)WALK_RECORDS);
	*ret = (struct walker_chunk){
		.records = w->programs->bss->records,
		.n_records = result->n_records,
		.next = result->next,
		.before = result->before,
		.after = result->after,
	};
	return 0;
}

int walker_read(struct walker *w, const struct walker_place *place, struct walker_chunk *ret)
{
	struct walk_args args = {
		.fd = (uint64_t)place->fd,
		.first = place->first,
		.end = place->end,
		.records = MIN(w->records, place->max_records),
	};
	int r = read_chunk(w, &args, ret);

	if (r < 0)
		return r;
	if (ret->before.a_ops != w->a_ops)
		return -EOPNOTSUPP;
	/* What cannot be read would otherwise be asked for again and again. */
	return ret->next <= place->first && place->first < place->end ? -EIO : 0;
}

void walker_get_stats(const struct walker *w, struct walker_stats *ret)
{
	*ret = w->stats;
}

/*
 * The object to try on: a written page, a page that fallocate made, a hole, and a page far enough
 * that there must be nodes of three levels.
 */
enum {
	TRY_WRITTEN = 0,
	TRY_ALLOCATED = 1,
	TRY_HOLE = 2,
	TRY_FAR = 5000,
	TRY_PAGES = 6000,
};

static int make_try_object(uint64_t page_size)
{
	static const uint64_t written[] = {TRY_WRITTEN, TRY_FAR};
	int fd = try_object_create(page_size, TRY_PAGES, written, ARRAY_SIZE(written));

	if (fd >= 0 && fallocate(fd, 0, (off_t)(TRY_ALLOCATED * page_size), (off_t)page_size) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static bool is_folio(uint64_t word)
{
	return word != 0 && (word & 3) == 0;
}

/* True if the chunk shows the try object as it was made. */
static bool is_as_made(const struct walker_chunk *c, uint64_t page_size)
{
	const struct walk_record *near = &c->records[0], *far = &c->records[1];
	uint64_t far_first = TRY_FAR / WALK_NODE_PAGES * WALK_NODE_PAGES;

	if (c->n_records != 2 || c->next < TRY_PAGES)
		return false;
	if (c->before.size != TRY_PAGES * page_size || c->before.nrpages != 3 ||
	    c->before.alloced != 3 || c->before.swapped != 0 ||
	    c->before.fallocend != TRY_ALLOCATED + 1)
		return false;
	if (near->first != 0 || near->shift != 0 || far->first != far_first || far->shift != 0)
		return false;
	for (uint64_t k = 0; k < WALK_NODE_PAGES; k++) {
		if (is_folio(near->slots[k]) != (k == TRY_WRITTEN || k == TRY_ALLOCATED))
			return false;
		if (is_folio(far->slots[k]) != (k == TRY_FAR - far_first))
			return false;
	}
	return near->not_uptodate == 1 << TRY_ALLOCATED && far->not_uptodate == 0;
}

/* Learns how shmem objects are known, and refuses a kernel that reads otherwise than expected. */
static int walker_try(struct walker *w)
{
	struct walk_args args = {.end = TRY_PAGES, .records = WALK_RECORDS};
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	_cleanup_close_ int fd = make_try_object(page_size);
	struct walker_chunk chunk;
	int r;

	if (fd < 0)
		return fd;
	args.fd = (uint64_t)fd;
	r = read_chunk(w, &args, &chunk);
	if (r < 0)
		return r;
	if (!is_as_made(&chunk, page_size))
		return -EOPNOTSUPP;
	w->a_ops = chunk.before.a_ops;
	w->stats = (struct walker_stats){0};
	return 0;
}

static int walker_load(struct walker *w, enum walker_use use)
{
	libbpf_print_fn_t printing = libbpf_set_print(print_nothing);
	int r;

	w->programs = exact_bpf__open();
	if (w->programs && use != WALKER_LOCATE)
		bpf_program__set_autoload(w->programs->progs.swap_contents, false);
	r = w->programs ? exact_bpf__load(w->programs) : -errno;
	libbpf_set_print(printing);
	return r;
}

int walker_new(enum walker_use use, struct walker **ret)
{
	struct walker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->records = WALK_RECORDS;
	r = walker_load(w, use);
	if (r >= 0)
		r = walker_try(w);
	if (r < 0) {
		walker_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

struct walker *walker_free(struct walker *w)
{
	if (!w)
		return NULL;
	exact_bpf__destroy(w->programs);
	free(w);
	return NULL;
}
