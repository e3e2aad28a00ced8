/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * Which swaps there are, and what the kernel keeps about their slots. Everything is copied as it
 * is; src/probe/swap-slots.c tells what it means.
 */

#include "kernel.bpf.h"
#include "swap.h"

struct swap_shared shared;

/*
 * By the helper, which looks up a few names at once: for an extern __ksym libbpf would read the
 * whole of /proc/kallsyms, which takes longer than all the rest of loading. The arrays are known by
 * name only where the kernel was built with KALLSYMS_ALL.
 */
#define LOOK_UP(name, ret) bpf_kallsyms_lookup_name(name, sizeof(name), 0, ret)

SEC("syscall")
int swap_symbols(void *context)
{
	struct swap_places *p = &shared.places;
	struct swap_info_struct *si = NULL;

	LOOK_UP("swap_info", &p->swap_info);
	LOOK_UP("zswap_trees", &p->zswap_trees);
	LOOK_UP("get_swap_device", &p->get_swap_device);
	LOOK_UP("zswap_invalidate", &p->zswap_invalidate);
	LOOK_UP("vmemmap_base", &p->vmemmap_base);
	p->zswap_is_xarray = zswap_is_xarray();
	p->has_maps = bpf_core_field_exists(si->swap_map);
	p->has_tables = swap_cluster_slots() != 0;
	p->type_bytes = bpf_core_type_size(struct swap_info_struct);
	p->cluster_bytes = bpf_core_type_size(struct swap_cluster_info);
	p->cluster_slots = swap_cluster_slots();
	return 0;
}

/* The code of the two functions, and where memory is described (x86). */
SEC("raw_tp")
int swap_texts(void *context)
{
	struct swap_places *p = &shared.places;

	bpf_probe_read_kernel(p->get_swap_device_text, SWAP_TEXT_BYTES, (void *)p->get_swap_device);
	bpf_probe_read_kernel(p->zswap_invalidate_text, SWAP_TEXT_BYTES,
			      (void *)p->zswap_invalidate);
	if (p->vmemmap_base)
		bpf_probe_read_kernel(&p->vmemmap, sizeof(p->vmemmap), (void *)p->vmemmap_base);
	return 0;
}

static __always_inline void read_type(struct swap_type *t, struct swap_info_struct *si)
{
	struct inode *inode = BPF_CORE_READ(si, swap_file, f_inode);

	t->type = (__u8)BPF_CORE_READ(si, type);
	t->flags = BPF_CORE_READ(si, flags);
	t->max = BPF_CORE_READ(si, max);
	t->cluster_info = (__u64)BPF_CORE_READ(si, cluster_info);
	t->swap_map = t->zeromap = t->frontswap_map = 0;
	if (bpf_core_field_exists(si->swap_map))
		t->swap_map = (__u64)BPF_CORE_READ(si, swap_map);
	if (bpf_core_field_exists(si->zeromap))
		t->zeromap = (__u64)BPF_CORE_READ(si, zeromap);
	if (bpf_core_field_exists(si->frontswap_map))
		t->frontswap_map = (__u64)BPF_CORE_READ(si, frontswap_map);
	t->inode = BPF_CORE_READ(inode, i_ino);
	t->mode = BPF_CORE_READ(inode, i_mode);
	t->rdev = BPF_CORE_READ(inode, i_rdev);
	t->dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

/* Arguments: the addresses of the two arrays; the second may be 0. */
struct types_args {
	__u64 swap_info;
	__u64 zswap_trees;
};

static __always_inline void read_zswap(struct swap_type *t, const void *zswap_trees, __u32 k)
{
	struct xarray *tree = NULL;

	bpf_probe_read_kernel(&tree, sizeof(tree), (void **)zswap_trees + k);
	t->zswap_tree = (__u64)tree;
	t->zswap_head = (__u64)BPF_CORE_READ(tree, xa_head);
	t->zswap_flags = BPF_CORE_READ(tree, xa_flags);
}

static long look_at_type(__u32 k, void *context)
{
	struct types_args *args = context;
	struct swap_info_struct *si = NULL;
	struct swap_type *t;

	if (k >= SWAP_TYPES)
		return 1;
	t = &shared.types[MASKED(k, SWAP_TYPES - 1)];
	t->address = t->zswap_tree = 0;
	if (bpf_probe_read_kernel(&si, sizeof(si), (void **)args->swap_info + k) < 0)
		return 1;
	t->address = (__u64)si;
	if (args->zswap_trees)
		read_zswap(t, (const void *)args->zswap_trees, k);
	if (si)
		read_type(t, si);
	return 0;
}

SEC("raw_tp")
int swap_types(struct types_args *args)
{
	struct types_args copy = {args->swap_info, args->zswap_trees};

	bpf_loop(SWAP_TYPES, look_at_type, &copy, 0);
	return 0;
}

/* The runs under way. (Not static: clang would take it apart, and its BTF be refused.) */
struct {
	__u64 use_table;
	__u64 at; /* bytes of units that are filled */
} copying;

/* Read anew: the swap may have gone, and another come in its place. (Its si stays for ever.) */
static __always_inline const void *address_of_run(const struct swap_run *run, __u64 *ret_size)
{
	const struct swap_type *t = &shared.types[MASKED(run->type, SWAP_TYPES - 1)];
	struct swap_info_struct *si = (void *)t->address;
	__u64 per_cluster = swap_cluster_slots();
	struct swap_cluster_info *cluster;
	void *map = NULL, *table;

	if (!si || run->offset + run->count > BPF_CORE_READ(si, max))
		return NULL;
	if (!copying.use_table) {
		*ret_size = run->count;
		if (bpf_core_field_exists(si->swap_map))
			map = BPF_CORE_READ(si, swap_map);
		return map ? map + run->offset : NULL;
	}
	cluster = BPF_CORE_READ(si, cluster_info);
	if (!per_cluster || !cluster)
		return NULL;
	cluster = (void *)cluster +
		  run->offset / per_cluster * bpf_core_type_size(struct swap_cluster_info);
	table = BPF_CORE_READ(cluster, table);
	*ret_size = run->count * sizeof(__u64);
	return table ? table + run->offset % per_cluster * sizeof(__u64) : NULL;
}

static long copy_run(__u32 k, void *context)
{
	__u64 at = copying.at, size = 0;
	struct swap_run *run;
	const void *from;

	if (k >= SWAP_RUNS)
		return 1;
	run = &shared.runs[MASKED(k, SWAP_RUNS - 1)];
	if (at > SWAP_UNITS_BYTES - SWAP_RUN_SLOTS * sizeof(__u64))
		return 1;
	from = address_of_run(run, &size);
	if (size > SWAP_RUN_SLOTS * sizeof(__u64))
		return 1;
	at = MASKED(at, SWAP_UNITS_BYTES - 1);
	/* A cluster without a table has no slot in use: a swapoff came in between. */
	if (!from || bpf_probe_read_kernel((char *)shared.units + at, size, from) < 0)
		shared.failed = 1;
	copying.at = at + ((size + 7) & ~(__u64)7);
	shared.n_runs_done = k + 1;
	return 0;
}

/* Arguments: how many runs; whether to read tables where there are swap_maps too. */
struct copy_args {
	__u64 n_runs;
	__u64 use_table;
};

SEC("raw_tp")
int swap_copy(struct copy_args *args)
{
	copying.use_table = args->use_table;
	copying.at = 0;
	shared.unit_size = args->use_table ? sizeof(__u64) : 1;
	shared.n_runs_done = 0;
	shared.failed = 0;
	bpf_loop(args->n_runs, copy_run, NULL, 0);
	return 0;
}
