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

/* The place of a page, in an object of which it may be. */
struct place {
	__u64 node;
	__u64 word;
};

/*
 * Goes down to the word at that index of the object's page cache, which the kernel has just stored.
 * Whatever is read of an inode that is gone is nonsense, and so is no entry.
 */
static __always_inline struct place place_of(__u64 inode, __u64 index)
{
	struct place p = {.word = xarray_head(inode_pages((void *)inode))};
	__u64 shift;

	if (!is_node(p.word))
		return index == 0 ? p : (struct place){0};
	shift = xa_node_shift(to_node(p.word));
	if (shift > XA_CHUNK_SHIFT * (SLOT_LEVELS_MAX - 1) || index >> shift > XA_CHUNK_MASK)
		return (struct place){0};
	for (int level = 0; level < SLOT_LEVELS_MAX; level++) {
		p.node = (__u64)to_node(p.word);
		p.word = xa_node_slot((void *)p.node, index >> (shift & 63) & XA_CHUNK_MASK);
		if (!is_node(p.word))
			break;
		shift -= XA_CHUNK_SHIFT;
	}
	return p;
}

/*
 * The swap entry in a word, or what is none. It is compared by the caller, for the verifier may
 * take a folio's for a pointer, which may be compared but not reckoned with.
 */
static __always_inline __u64 to_entry(__u64 word)
{
	return word & 1 ? word >> 1 : ~(__u64)0;
}

/*
 * Pages mostly go out one after the other: the node where the last one was found has 64 of them. It
 * may have become another's meanwhile, but an entry is in one place only, and a node knows whose it
 * is.
 */
static __always_inline __u64 entry_in_last_node(const struct track_batch *b, __u64 index)
{
	__u64 inode = b->near[MASKED(b->node_near, TRACK_NEAR - 1)];

	if (!b->node || b->node_page != index >> XA_CHUNK_SHIFT || !inode)
		return ~(__u64)0;
	if (xa_node_array((void *)b->node) != (__u64)inode_pages((void *)inode))
		return ~(__u64)0;
	return to_entry(xa_node_slot((void *)b->node, index & XA_CHUNK_MASK));
}

static __always_inline void put_matched(struct track_batch *b, __u64 k, __u64 index, __u64 count)
{
	b->pages[MASKED(k, TRACK_NEAR - 1)] += count;
	put(b, TRACK_SWAP_OUT, b->near[MASKED(k, TRACK_NEAR - 1)], index, count);
}

/* (The verifier lets pointers be compared only: so it is read as a number.) */
static __always_inline bool_t is_anonymous(const struct folio *folio)
{
	__u64 mapping = FOLIO_MAPPING_ANON;

	bpf_probe_read_kernel(&mapping, sizeof(mapping), &folio->mapping);
	return mapping & FOLIO_MAPPING_ANON;
}

/*
 * Between its writing and this tracepoint somebody may have brought a page back: then it is in its
 * page cache again, and that is how it is known. Where not all are known that are watched, what may
 * be theirs is told to all; a page of a file system passes for such a one.
 */
static __always_inline void put_brought_back(const struct folio *folio)
{
	struct track_batch *b = batch_of(TRACK_SWAP_OUT);
	__u64 n = b ? b->n_near : 0;

	for (__u64 k = 0; k < TRACK_NEAR; k++) {
		if (k >= n)
			break;
		if (!b->near[k] || folio->mapping != inode_cache((void *)b->near[k]))
			continue;
		put_matched(b, k, folio->index, folio_pages(folio));
		return;
	}
	if (b && b->all && !is_anonymous(folio))
		put(b, TRACK_SWAP_OUT, 0, folio->index, folio_pages(folio));
}

/*
 * Anonymous memory and files of file systems are still what they were when they are written. (No
 * functions of its own: where the processor is kept from speculating each return costs.)
 */
SEC("tp_btf/mm_vmscan_write_folio")
int track_swap_out(__u64 *ctx)
{
	struct folio *folio = (void *)ctx[0];
	struct track_batch *b;
	__u64 index, entry, n;

	if (folio->mapping) {
		put_brought_back(folio);
		return 0;
	}
	b = batch_of(TRACK_SWAP_OUT);
	if (!b)
		return 0;
	n = b->n_near;
	index = folio->index;
	entry = folio_entry(folio);
	if (n > 0 && entry_in_last_node(b, index) == entry) {
		put_matched(b, b->node_near, index, folio_pages(folio));
		return 0;
	}
	for (__u64 k = 0; k < TRACK_NEAR; k++) {
		struct place p;

		if (k >= n)
			break;
		p = place_of(b->near[k], index);
		if (!b->near[k] || to_entry(p.word) != entry)
			continue;
		b->node = p.node;
		b->node_page = index >> XA_CHUNK_SHIFT;
		b->node_near = k;
		put_matched(b, k, index, folio_pages(folio));
		return 0;
	}
	if (b->all)
		put(b, TRACK_SWAP_OUT, 0, index, folio_pages(folio));
	return 0;
}
