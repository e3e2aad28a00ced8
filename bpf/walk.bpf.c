/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * Copies the words of an object's page cache (i_pages) to user space, node by node. It decides
 * nothing: what the words mean is told by src/probe.
 *
 * A test run holds rcu_read_lock, so no node is freed under us: one that leaves the tree keeps its
 * words, or has them replaced by retry entries. Words are copied in ascending order, so a sibling
 * entry is never older than the head that it points to.
 */

#include "entry.h"
#include "kernel.bpf.h"
#include "walk.h"

/* Descents in one chunk, of an object that is nearly empty. */
#define DESCENTS_MAX 2048

/* Nodes whose lines are fetched together. */
#define TOUCH_NODES 16
/* Of shmem: 2 MiB in pages of 4 KiB, 512 MiB in pages of 64 KiB. */
#define FOLIO_PAGES_MAX 8192

#define NODE_PAGES ((__u64)1 << (2 * XA_CHUNK_SHIFT)) /* below a node of shift 6 */

struct walk_result result;
struct walk_record records[WALK_RECORDS];

/* The walk under way. (Not static: clang would take it apart, and its BTF be refused.) */
struct {
	struct address_space *mapping;
	__u64 next;
	__u64 end;
	__u64 n;
	__u64 limit;
	__u64 failed;        /* something could not be read: then nothing counts */
	__u64 allocated_end; /* no page from here on was made by fallocate */
	__u64 parent_first;
	__u64 parent[WALK_NODE_PAGES]; /* the slots of the node of shift 6 */
} walk;

static __always_inline bool_t is_sibling(__u64 word)
{
	return is_internal(word) && word < (XA_CHUNK_MASK << 2);
}

static __always_inline bool_t is_folio(__u64 word)
{
	return word && !(word & 3);
}

static __always_inline struct walk_record *next_record(void)
{
	if (walk.n >= WALK_RECORDS)
		return NULL;
	return &records[MASKED(walk.n, WALK_RECORDS - 1)];
}

static __always_inline enum writing writing_of(__u64 word)
{
	return is_folio(word) ? folio_writing((void *)word) : WRITTEN;
}

/*
 * The folio may have left the page cache, and become something else, before its flags were read:
 * they count only if it is still there afterwards.
 */
struct leaf {
	struct xa_node *node;
	struct walk_record *record;
};

static long look_at_flags(__u32 i, void *context)
{
	__u64 k = MASKED(i, XA_CHUNK_MASK), word, again = 0;
	struct walk_record *r = next_record();
	struct leaf *leaf = context;
	enum writing writing;

	if (!r)
		return 1;
	word = r->slots[k];
	writing = writing_of(word);
	if (writing == WRITTEN)
		return 0;
	bpf_probe_read_kernel(&again, sizeof(again), &leaf->node->slots[k]);
	if (again == word && writing == NEVER_WRITTEN)
		r->not_uptodate |= (__u64)1 << k;
	else
		r->slots[k] = WALK_RETRY_WORD;
	return 0;
}

/* In ascending order, which the barrier keeps clang from improving. */
static __always_inline int copy_slots(struct walk_record *r, struct xa_node *node)
{
	if (!HAVE_CAST)
		return bpf_probe_read_kernel(r->slots, sizeof(r->slots), node->slots);
	node = xa_node_readable(node);
	_Pragma("unroll") for (int k = 0; k < WALK_NODE_PAGES; k++)
	{
		r->slots[k] = (__u64)node->slots[k];
		barrier();
	}
	return 0;
}

static __always_inline int copy_leaf(__u64 word, __u64 first)
{
	struct walk_record *r = next_record();
	struct leaf leaf = {.node = to_node(word)};

	if (!r)
		return -1;
	r->first = first;
	r->shift = 0;
	r->not_uptodate = 0;
	if (copy_slots(r, leaf.node) < 0)
		return -1;
	if (first < walk.allocated_end)
		bpf_loop(WALK_NODE_PAGES, look_at_flags, &leaf, 0);
	walk.n++;
	return 0;
}

/*
 * Nodes are scattered in memory, so each is a handful of cache misses, one after the other. A word
 * of each of their lines, of several nodes together, makes them happen at the same time.
 */
static __always_inline void touch_nodes(__u64 k)
{
	_Pragma("unroll") for (__u64 i = 0; i < TOUCH_NODES; i++)
	{
		__u64 word = walk.parent[MASKED(k + i, XA_CHUNK_MASK)];
		struct xa_node *node;

		if (!is_node(word))
			continue;
		node = xa_node_readable(to_node(word));
		_Pragma("unroll") for (__u64 line = 0; line < WALK_NODE_PAGES; line += 8)
		{
			__u64 slot = (__u64)node->slots[line];

			asm volatile("" ::"r"(slot)); /* or it would not be read */
		}
	}
}

/*
 * A split puts the head's word into every piece before each gets its own. A piece lies in the other
 * half of something that begins with the head; so the head's place is the piece's without some of
 * the lower bits. (Poison is the same word everywhere.)
 */
static __always_inline bool_t is_piece(__u64 word, __u64 k)
{
	if (!(word & 1) || word >> (ENTRY_TYPE_SHIFT + 1) >= ENTRY_TYPE_SPECIAL)
		return 0;
	for (int bits = 1; bits <= XA_CHUNK_SHIFT; bits++) {
		__u64 head = k >> bits << bits;

		if (head != k && walk.parent[MASKED(head, XA_CHUNK_MASK)] == word)
			return 1;
	}
	return 0;
}

/*
 * The pages from first on, which are 1 << shift of a larger entry: that at slot k of the node whose
 * slots were copied to walk.parent, or at the slot that k is a sibling of. Its first slot was read
 * before the siblings: it counts if it is the same after them, and after the flags.
 */
static __always_inline int copy_large(struct xa_node *node, __u64 k, __u64 first, __u32 shift)
{
	__u64 head = k, word = walk.parent[MASKED(k, XA_CHUNK_MASK)], again = 0;
	struct walk_record *r = next_record();
	enum writing writing = WRITTEN;

	if (!r)
		return -1;
	if (is_sibling(word)) {
		head = word >> 2 & XA_CHUNK_MASK;
		word = walk.parent[MASKED(head, XA_CHUNK_MASK)];
	}
	r->first = first;
	r->shift = shift;
	r->slots[1] = first - ((k - head) << shift);
	if (r->slots[1] < walk.allocated_end)
		writing = writing_of(word);
	r->not_uptodate = writing == NEVER_WRITTEN;
	bpf_probe_read_kernel(&again, sizeof(again), &node->slots[head]);
	if (!word || is_internal(word) || head > k || again != word || is_piece(word, head) ||
	    writing == UNDER_WAY)
		word = WALK_RETRY_WORD;
	r->slots[0] = word;
	walk.n++;
	return 0;
}

/* Page 0 alone: then there is no node, and the entry is in the root. */
static __always_inline void copy_root(struct address_space *mapping, __u64 word)
{
	struct walk_record *r = next_record();
	enum writing writing = WRITTEN;

	if (!r)
		return;
	r->first = 0;
	r->shift = 0;
	__builtin_memset(r->slots, 0, sizeof(r->slots));
	if (walk.allocated_end > 0)
		writing = writing_of(word);
	r->not_uptodate = writing == NEVER_WRITTEN;
	r->slots[0] = word;
	if ((__u64)BPF_CORE_READ(mapping, i_pages.xa_head) != word || writing == UNDER_WAY)
		r->slots[0] = WALK_RETRY_WORD;
	walk.n++;
}

static long copy_child(__u32 i, void *context)
{
	__u64 k = MASKED(i, XA_CHUNK_MASK), word = walk.parent[k];
	__u64 first = walk.parent_first + (k << XA_CHUNK_SHIFT);
	struct xa_node **parent = context;
	int r;

	if (k % TOUCH_NODES == 0 && HAVE_CAST)
		touch_nodes(k);
	if (!word || first + WALK_NODE_PAGES <= walk.next || first >= walk.end)
		return 0;
	if (is_node(word))
		r = copy_leaf(word, first);
	else
		r = copy_large(*parent, k, first, XA_CHUNK_SHIFT);
	if (r == 0)
		return 0;
	walk.failed = 1;
	return 1;
}

/* A node of shift 6: all that is below it. */
static __always_inline long copy_parent(struct xa_node *node)
{
	walk.parent_first = walk.next & ~(NODE_PAGES - 1);
	if (bpf_probe_read_kernel(walk.parent, sizeof(walk.parent), node->slots) < 0)
		return 1;
	bpf_loop(WALK_NODE_PAGES, copy_child, &node, 0);
	walk.next = walk.parent_first + NODE_PAGES;
	return 0;
}

/* The entry in a node of this shift, higher up in the tree than shift 6. */
static __always_inline long copy_high(struct xa_node *node, __u32 shift)
{
	__u64 first = walk.next >> shift << shift;

	if (bpf_probe_read_kernel(walk.parent, sizeof(walk.parent), node->slots) < 0 ||
	    copy_large(node, walk.next >> shift & XA_CHUNK_MASK, first, shift) < 0)
		return 1;
	walk.next = first + ((__u64)1 << shift);
	return 0;
}

/* Goes down from the root to what is at walk.next, and copies the node of shift 6 around it. */
static long descend(__u32 i, void *context)
{
	struct address_space *mapping = walk.mapping;
	struct xa_node *node;
	__u64 word = 0;
	__u8 shift = 0;

	if (walk.next >= walk.end || walk.n + WALK_NODE_PAGES > walk.limit)
		return 1;
	word = (__u64)BPF_CORE_READ(mapping, i_pages.xa_head);
	if (!is_node(word)) {
		if (word && walk.next == 0)
			copy_root(mapping, word);
		walk.next = walk.end;
		return 1;
	}
	node = to_node(word);
	shift = BPF_CORE_READ(node, shift);
	if (shift > 60 || walk.next >> shift > XA_CHUNK_MASK) {
		walk.next = walk.end;
		return 1;
	}
	if (shift == 0) {
		copy_leaf(word, 0);
		walk.next = walk.end;
		return 1;
	}
	for (int level = 0; level < XA_LEVELS_MAX; level++) {
		if (shift <= XA_CHUNK_SHIFT)
			return copy_parent(node);
		if (bpf_probe_read_kernel(&word, sizeof(word),
					  &node->slots[walk.next >> shift & XA_CHUNK_MASK]) < 0)
			return 1;
		if (!word) {
			walk.next = (walk.next | (((__u64)1 << shift) - 1)) + 1;
			return 0;
		}
		if (!is_node(word))
			return copy_high(node, shift);
		node = to_node(word);
		shift -= XA_CHUNK_SHIFT;
	}
	return 1;
}

static __always_inline void read_facts(struct address_space *mapping, struct walk_facts *facts)
{
	struct inode *inode = BPF_CORE_READ(mapping, host);
	struct shmem_inode_info *info =
		(void *)inode - bpf_core_field_offset(struct shmem_inode_info, vfs_inode);

	facts->inode = (__u64)inode;
	facts->a_ops = (__u64)BPF_CORE_READ(mapping, a_ops);
	facts->size = (__u64)BPF_CORE_READ(inode, i_size);
	facts->nrpages = BPF_CORE_READ(mapping, nrpages);
	facts->alloced = BPF_CORE_READ(info, alloced);
	facts->swapped = BPF_CORE_READ(info, swapped);
	facts->fallocend = BPF_CORE_READ(info, fallocend);
	facts->locked = xarray_is_locked(&mapping->i_pages);
	facts->writing = inode_is_written(inode);
}

static __always_inline struct address_space *mapping_of(__u64 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	if (bpf_probe_read_kernel(&file, sizeof(file), &files[fd]) < 0 || !file)
		return NULL;
	return BPF_CORE_READ(file, f_inode, i_mapping);
}

/*
 * fallocend is the end of what fallocate was asked for, which the last folio that it made may
 * exceed. (If what was asked for is punched out, but not the rest, fallocend goes back further than
 * what is left: such a rest passes for written.)
 */
static __always_inline __u64 allocated_end(__u64 fallocend)
{
	return fallocend ? (fallocend / FOLIO_PAGES_MAX + 1) * FOLIO_PAGES_MAX : 0;
}

SEC("raw_tp")
int walk_chunk(struct walk_args *args)
{
	__u64 start = bpf_ktime_get_ns();

	walk.mapping = mapping_of(args->fd);
	if (!walk.mapping)
		return 1;
	walk.next = args->first;
	walk.end = args->end;
	walk.limit = args->records;
	walk.n = 0;
	walk.failed = 0;
	read_facts(walk.mapping, &result.before);
	walk.allocated_end = allocated_end(result.before.fallocend);
	bpf_loop(DESCENTS_MAX, descend, NULL, 0);
	read_facts(walk.mapping, &result.after);
	result.next = walk.next;
	result.n_records = walk.n;
	result.ns = bpf_ktime_get_ns() - start;
	return walk.failed != 0;
}

const char bpf_license[] SEC("license") = "GPL";
