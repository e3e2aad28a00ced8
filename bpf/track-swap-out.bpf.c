/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * Swap-outs, by the tracepoint at which a folio has been handed to the swap. It names no object:
 * the folio has left its page cache by then, and its swap entry stands there in its place. Whose it
 * is, is found by looking at that place in those that are watched.
 *
 * This runs for each page that leaves memory, also of those whom nobody watches: a program that
 * does nothing costs some 100 ns there, and this one is to cost hardly more.
 */

#include "kernel.bpf.h"
#include "track.bpf.h"

#define SLOT_LEVELS_MAX 7 /* 40 bits of index and more */

/*
 * The word at that index of the object's page cache, which the kernel has just stored. Whatever is
 * read of an inode that is gone is nonsense, and so is no entry; there can be no harm in trying.
 */
static __always_inline __u64 slot_of(__u64 inode, __u64 index)
{
	__u64 word = xarray_head(inode_pages((void *)inode)), shift;

	if (!is_node(word))
		return index == 0 ? word : 0;
	shift = xa_node_shift(to_node(word));
	if (shift > XA_CHUNK_SHIFT * (SLOT_LEVELS_MAX - 1) || index >> shift > XA_CHUNK_MASK)
		return 0;
	for (int level = 0; level < SLOT_LEVELS_MAX; level++) {
		word = xa_node_slot(to_node(word), index >> (shift & 63) & XA_CHUNK_MASK);
		if (!is_node(word))
			break;
		shift -= XA_CHUNK_SHIFT;
	}
	return word;
}

/*
 * The swap entry there, or what is none. (Global, so that it is verified once and not for each
 * object. The entry is compared by the caller, for the verifier takes a folio's for a pointer,
 * which may be compared but not reckoned with.)
 */
__attribute__((noinline)) __u64 entry_of(__u64 inode, __u64 index)
{
	__u64 word = slot_of(inode, index);

	return word & 1 ? word >> 1 : ~(__u64)0;
}

static __always_inline void put_matched(struct track_batch *b, __u64 k, __u64 index, __u64 count)
{
	b->pages[MASKED(k, TRACK_NEAR - 1)] += count;
	put(b, TRACK_SWAP_OUT, control.near[MASKED(k, TRACK_NEAR - 1)], index, count);
}

/* Anonymous memory and files of file systems are still what they were when they are written. */
SEC("tp_btf/mm_vmscan_write_folio")
int track_swap_out(__u64 *ctx)
{
	struct folio *folio = (void *)ctx[0];
	struct track_batch *b;
	__u64 index, entry, n = control.n_near;

	if (folio->mapping)
		return 0;
	index = folio->index;
	entry = folio_entry(folio);
	for (__u64 k = 0; k < TRACK_NEAR; k++) {
		if (k >= n)
			break;
		if (!control.near[k] || entry_of(control.near[k], index) != entry)
			continue;
		b = batch_of(TRACK_SWAP_OUT);
		if (b)
			put_matched(b, k, index, folio_pages(folio));
		return 0;
	}
	if (!control.all)
		return 0;
	b = batch_of(TRACK_SWAP_OUT);
	if (b)
		put(b, TRACK_SWAP_OUT, 0, index, folio_pages(folio));
	return 0;
}
