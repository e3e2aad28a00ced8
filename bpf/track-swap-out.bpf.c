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
	if (!b->node || xa_node_array((void *)b->node) != b->array)
		return ~(__u64)0;
	return to_entry(xa_node_slot((void *)b->node, index & XA_CHUNK_MASK));
}

static __always_inline bool_t last_node_is_near(const struct track_batch *b)
{
	__u64 inode = b->near[MASKED(b->node_near, TRACK_NEAR - 1)];

	return inode && b->array == (__u64)inode_pages((void *)inode);
}

/* Whether it needs no record of its own. Nearly all do not: hence so little is looked at. */
static __always_inline bool_t continues_run(struct track_batch *b, const struct folio *folio)
{
	__u64 index = folio->index, epoch = *(volatile __u64 *)&b->epoch;

	barrier();
	if (index == 0 || index != b->next || folio_is_large(folio))
		return 0;
	/* Without a node it is a run of whatever belongs to none. */
	if (b->node && entry_in_last_node(b, index) != folio_entry(folio))
		return 0;
	*(volatile __u64 *)&b->next = index + 1;
	barrier();
	if (*(volatile __u64 *)&b->epoch == epoch)
		return 1;
	b->next = 0;
	return 0;
}

/* The node has 64 pages: from one to the next it is looked for. */
static __always_inline void put_matched(struct track_batch *b, __u64 k, __u64 index, __u64 count)
{
	__u64 epoch = *(volatile __u64 *)&b->epoch, inode = b->near[MASKED(k, TRACK_NEAR - 1)],
	      next = index + count;

	b->pages[MASKED(k, TRACK_NEAR - 1)] += count;
	put(b, TRACK_SWAP_OUT, inode, index, count);
	if (b->node && b->node_page == next >> XA_CHUNK_SHIFT)
		begin_run(b, k + 1, inode, next, epoch);
}

static __always_inline void put_unmatched(struct track_batch *b, __u64 index, __u64 count)
{
	__u64 epoch = *(volatile __u64 *)&b->epoch;

	put(b, TRACK_SWAP_OUT, 0, index, count);
	if (b->n_near == 0) {
		b->node = 0;
		begin_run(b, TRACK_OF_NOBODY, 0, index + count, epoch);
	}
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
static __noinline void put_brought_back(struct track_batch *b, const struct folio *folio)
{
	__u64 index = folio->index, count = folio_pages(folio);

	for (__u64 k = 0; k < TRACK_NEAR; k++) {
		if (k >= b->n_near)
			break;
		if (!b->near[k] || folio->mapping != inode_cache((void *)b->near[k]))
			continue;
		end_run(b);
		b->pages[k] += count;
		put(b, TRACK_SWAP_OUT, b->near[k], index, count);
		return;
	}
	if (b->all && !is_anonymous(folio)) {
		end_run(b);
		put(b, TRACK_SWAP_OUT, 0, index, count);
	}
}

/* One that has left its page cache: its entry stands there. */
static __noinline void put_out(struct track_batch *b, const struct folio *folio)
{
	__u64 index = folio->index, entry = folio_entry(folio), count = folio_pages(folio);

	end_run(b);
	if (b->node && last_node_is_near(b) && b->node_page == index >> XA_CHUNK_SHIFT &&
	    entry_in_last_node(b, index) == entry) {
		put_matched(b, b->node_near, index, count);
		return;
	}
	for (__u64 k = 0; k < TRACK_NEAR; k++) {
		struct place p;

		if (k >= b->n_near)
			break;
		p = place_of(b->near[k], index);
		if (!b->near[k] || to_entry(p.word) != entry)
			continue;
		b->node = p.node;
		b->array = (__u64)inode_pages((void *)b->near[k]);
		b->node_page = index >> XA_CHUNK_SHIFT;
		b->node_near = k;
		put_matched(b, k, index, count);
		return;
	}
	/* Or it came back just now: the kernel stores its mapping before it takes the entry away.
	 */
	barrier();
	if (folio->mapping)
		put_brought_back(b, folio);
	else if (b->all)
		put_unmatched(b, index, count);
}

/*
 * Anonymous memory and files of file systems are still what they were when they are written. (What
 * is rare is in functions of its own, so that the rest lies close together.)
 */
SEC("tp_btf/mm_vmscan_write_folio")
int track_swap_out(__u64 *ctx)
{
	struct folio *folio = (void *)ctx[0];
	struct track_batch *b = batch_of(TRACK_SWAP_OUT);

	if (!b)
		return 0;
	if (folio->mapping)
		put_brought_back(b, folio);
	else if (!continues_run(b, folio))
		put_out(b, folio);
	return 0;
}
