/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * All that changes the state of an object's pages, by the functions of the kernel that do it. They
 * say which object it is. Where a function tells at its end what it did, that is when we are told;
 * but a page has left its object when it has been written, so of a swap-out we hear as it begins.
 */

#include "kernel.bpf.h"
#include "track.bpf.h"

/* What a collapse is about: 2 MiB in pages of 4 KiB. */
#define COLLAPSE_PAGES 512

#define TO_END (~(__u64)0)

__u64 page_shift; /* set before it is loaded */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TRACK_OBJECTS);
	__type(key, __u64);
	__type(value, struct track_object);
} objects SEC(".maps");

static __always_inline void hear(enum track_writer writer, const void *inode, __u64 first,
				 __u64 count)
{
	__u64 key = (__u64)inode;
	struct track_object *object = bpf_map_lookup_elem(&objects, &key);
	struct track_batch *b = batch_of(writer);

	if (object)
		object->pages[writer] +=
			writer == TRACK_REMOVE || writer == TRACK_SWAPOFF ? 1 : count;
	if (b && (object || b->all))
		put(b, writer, key, first, count);
}

/* Until 6.15. */
SEC("fentry/shmem_writepage")
int track_writepage(__u64 *ctx)
{
	struct folio *folio = (void *)ctx[0];

	hear(TRACK_SWAP_OUT, BPF_CORE_READ(folio, mapping, host), BPF_CORE_READ(folio, index),
	     folio_pages_read(folio));
	return 0;
}

/* From 6.16. */
SEC("fentry/shmem_writeout")
int track_writeout(__u64 *ctx)
{
	struct folio *folio = (void *)ctx[0];

	hear(TRACK_SWAP_OUT, folio->mapping->host, folio->index, folio_pages(folio));
	return 0;
}

/* A large entry may have come in whole: where it lies says the folio. */
SEC("fexit/shmem_swapin_folio")
int track_swap_in(__u64 *ctx)
{
	struct inode *inode = (void *)ctx[0];
	__u64 index = ctx[1], pages = 1;
	struct folio *folio = NULL;

	bpf_probe_read_kernel(&folio, sizeof(folio), (void *)ctx[2]);
	if (folio) {
		pages = folio_pages_read(folio);
		index = BPF_CORE_READ(folio, index);
	}
	hear(TRACK_SWAP_IN, inode, index, pages);
	return 0;
}

SEC("fexit/shmem_add_to_page_cache")
int track_insert(__u64 *ctx)
{
	struct folio *folio = (void *)ctx[0];
	struct address_space *mapping = (void *)ctx[1];

	hear(TRACK_INSERT, mapping->host, ctx[2], folio_pages(folio));
	return 0;
}

/* The whole pages within bytes lstart to lend, which is the last one; -1: to the end. */
SEC("fexit/shmem_undo_range")
int track_remove(__u64 *ctx)
{
	__u64 lstart = ctx[1], lend = ctx[2], shift = page_shift & 63;
	__u64 first = (lstart + ((__u64)1 << shift) - 1) >> shift, end = (lend + 1) >> shift;

	if (lend == TO_END)
		hear(TRACK_REMOVE, (void *)ctx[0], first, TO_END);
	else if (first < end)
		hear(TRACK_REMOVE, (void *)ctx[0], first, end - first);
	return 0;
}

SEC("fexit/shmem_unuse_inode")
int track_swapoff(__u64 *ctx)
{
	hear(TRACK_SWAPOFF, (void *)ctx[0], 0, TO_END);
	return 0;
}

/* Holes become pages without having been inserted. */
SEC("fexit/collapse_file")
int track_collapse(__u64 *ctx)
{
	struct file *file = (void *)ctx[2];

	hear(TRACK_COLLAPSE, file->f_inode, ctx[3], COLLAPSE_PAGES);
	return 0;
}
