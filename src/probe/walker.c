/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "probe/walker-inside.h"
#include "probe/walker-try.h"
#include "probe/walker.h"
#include "util/stop.h"
#include "util/util.h"

#include "bpf/exact.skel.h"
#include "bpf/plain.skel.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

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

int walker_read_chunk(struct walker *w, const struct walk_args *args, struct walker_chunk *ret)
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
	int r = stop_asked();

	if (r == 0)
		r = walker_read_chunk(w, &args, ret);
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

/* EACCES is what a security module says, but the verifier too. */
static bool may_use_bpf(void)
{
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shmstate", 4, 8, 1, NULL);

	return fd >= 0;
}

static bool kernel_has_cast(void)
{
	struct btf *btf = btf__parse(KERNEL_BTF, NULL);
	bool has = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) >= 0;

	btf__free(btf);
	return has;
}

/*
 * The skeleton of the programs, with or without those that need the cast: they differ in nothing
 * that user space sees.
 */
static int open_programs(bool cast, struct exact_bpf **ret)
{
	/*
	 * Named, though it is where libbpf looks anyway: it then leaves the modules' BTF alone,
	 * which holds nothing of ours and takes CAP_SYS_ADMIN to look through.
	 */
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = KERNEL_BTF);
	struct exact_bpf *programs = calloc(1, sizeof(*programs));
	int r;

	if (!programs)
		return -ENOMEM;
	r = exact_bpf__create_skeleton(programs);
	if (r == 0 && !cast)
		programs->skeleton->data =
			(void *)plain_bpf__elf_bytes(&programs->skeleton->data_sz);
	if (r == 0)
		r = bpf_object__open_skeleton(programs->skeleton, &options);
	if (r < 0) {
		exact_bpf__destroy(programs);
		return r;
	}
	*ret = programs;
	return 0;
}

static int load_programs(bool cast, enum walker_use use, struct exact_bpf **ret)
{
	struct exact_bpf *programs;
	int r = open_programs(cast, &programs);

	if (r < 0)
		return r;
	if (use != WALKER_LOCATE)
		bpf_program__set_autoload(programs->progs.swap_contents, false);
	r = exact_bpf__load(programs);
	if (r < 0) {
		exact_bpf__destroy(programs);
		return r;
	}
	*ret = programs;
	return 0;
}

/* A field that is not in the BTF makes the verifier refuse the programs: the kernel is not known.
 */
static int walker_load(struct walker *w, enum walker_use use)
{
	libbpf_print_fn_t printing = libbpf_set_print(print_nothing);
	int r = load_programs(true, use, &w->programs);

	if (r == -EINVAL && !kernel_has_cast())
		r = load_programs(false, use, &w->programs);
	if (r == -EINVAL || r == -E2BIG || (r == -EACCES && may_use_bpf()))
		r = -EOPNOTSUPP;
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
		r = walker_try(w, &w->a_ops);
	w->stats = (struct walker_stats){0};
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
