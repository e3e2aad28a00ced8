/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

/*
 * Of the kernel's structures, what the programs here read: CO-RE puts in the offsets of the kernel
 * at hand. All that differs between kernel versions stands in this file, with version and reason;
 * what the kernel's BTF does not confirm must not be read.
 */

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define KERNEL_STRUCT __attribute__((preserve_access_index))

typedef __u8 bool_t;

/* Macros are not in BTF. These have been the same from 6.1 to 7.2. */
#define PF_KTHREAD 0x00200000
#define VM_MAYSHARE 0x00000080
#define FMODE_NOACCOUNT 0x20000000
#define S_IFMT 00170000
#define S_IFREG 0100000

/*
 * x & mask, where the verifier can see it: clang drops a mask that it can prove to be idle, and
 * then the verifier cannot prove the bound.
 */
#define MASKED(x, mask)                                               \
	({                                                            \
		__u64 masked_ = (x);                                  \
		asm volatile("%0 &= %1" : "+r"(masked_) : "i"(mask)); \
		masked_;                                              \
	})

/* The page cache. */

struct raw_spinlock {
	int raw_lock;
} KERNEL_STRUCT;

struct spinlock {
	struct raw_spinlock rlock; /* not where locks sleep (PREEMPT_RT) */
} KERNEL_STRUCT;

struct xarray {
	struct spinlock xa_lock;
	unsigned int xa_flags;
	void *xa_head;
} KERNEL_STRUCT;

struct xa_node {
	unsigned char shift;
	unsigned char count;
	struct xarray *array;
	void *slots[64];
} KERNEL_STRUCT;

#define XA_CHUNK_SHIFT 6
#define XA_CHUNK_MASK ((__u64)63)
#define XA_LEVELS_MAX 11 /* 64 bits of index */

static __always_inline bool_t is_internal(__u64 word)
{
	return (word & 3) == 2;
}

static __always_inline bool_t is_node(__u64 word)
{
	return is_internal(word) && word > 4096;
}

static __always_inline struct xa_node *to_node(__u64 word)
{
	return (struct xa_node *)(word - 2);
}

/* Not free: a lock's first word is 0 when nobody holds it or waits for it. */
static __always_inline bool_t xarray_is_locked(const struct xarray *xarray)
{
	__u32 word = 0;

	if (bpf_core_field_exists(xarray->xa_lock.rlock))
		bpf_probe_read_kernel(&word, sizeof(word), &xarray->xa_lock);
	return word != 0;
}

struct inode;

struct address_space {
	struct inode *host;
	struct xarray i_pages;
	unsigned long nrpages;
	const void *a_ops;
} KERNEL_STRUCT;

struct super_block {
	unsigned int s_dev;
	unsigned long s_blocksize;
	unsigned long s_magic;
} KERNEL_STRUCT;

/* PREEMPT_RT has a lock without this field. */
struct rw_semaphore {
	struct {
		long counter;
	} count;
} KERNEL_STRUCT;

struct list_head {
	struct list_head *next;
} KERNEL_STRUCT;

struct file_lock_context {
	struct list_head flc_lease;
} KERNEL_STRUCT;

#define RWSEM_WRITER_LOCKED 1 /* kernel/locking/rwsem.c */

struct inode {
	unsigned short i_mode;
	struct rw_semaphore i_rwsem;
	struct super_block *i_sb;
	struct address_space *i_mapping;
	struct address_space i_data;
	unsigned long i_ino;
	unsigned int i_nlink;
	unsigned int i_rdev;
	long long i_size;
	unsigned int i_generation;
	struct file_lock_context *i_flctx;
} KERNEL_STRUCT;

static __always_inline bool_t inode_has_lease(const struct inode *inode)
{
	struct file_lock_context *locks = BPF_CORE_READ(inode, i_flctx);

	return locks &&
	       BPF_CORE_READ(locks, flc_lease.next) !=
		       (void *)locks + bpf_core_field_offset(struct file_lock_context, flc_lease);
}

/* Where it cannot be told: yes. */
static __always_inline bool_t inode_is_written(const struct inode *inode)
{
	if (!bpf_core_field_exists(inode->i_rwsem.count))
		return 1;
	return BPF_CORE_READ(inode, i_rwsem.count.counter) & RWSEM_WRITER_LOCKED;
}

struct shmem_inode_info {
	unsigned long alloced;
	unsigned long swapped;
	unsigned long fallocend;
	struct inode vfs_inode;
} KERNEL_STRUCT;

/* Files and their names. */

struct qstr {
	const unsigned char *name;
} KERNEL_STRUCT;

struct dentry {
	struct qstr d_name;
} KERNEL_STRUCT;

struct path {
	struct dentry *dentry;
} KERNEL_STRUCT;

struct file {
	unsigned int f_mode;
	struct inode *f_inode;
	struct path f_path;
} KERNEL_STRUCT;

/*
 * From 6.2 (fd264ca02094 "bpf: Add a kfunc to type cast from bpf uapi ctx to kernel ctx", and its
 * sibling for any type) a program may read through a pointer without calling a helper: a word takes
 * half a nanosecond, where the call alone takes 25. A page that is not there would read as 0, but
 * under rcu_read_lock a node is.
 */
#ifndef WITHOUT_CAST
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;
#define HAVE_CAST (bpf_rdonly_cast != NULL)
#define READABLE(object, type) bpf_rdonly_cast(object, bpf_core_type_id_kernel(type))
#else
/* libbpf before 1.4 looks for it in all modules where the kernel has none: by CAP_SYS_ADMIN only.
 */
#define HAVE_CAST 0
#define READABLE(object, type) ((void *)(object))
#endif

static __always_inline struct xa_node *xa_node_readable(const void *node)
{
	return READABLE(node, struct xa_node);
}

/*
 * A word anywhere, as a number: the verifier of 6.18 takes what is read from a field that is a
 * pointer for a pointer for good, and lets nobody reckon with it. What cannot be read is 0.
 */
struct cpumask {
	unsigned long bits[1];
} KERNEL_STRUCT;

static __always_inline __u64 word_at(const void *address)
{
	__u64 word;

	if (HAVE_CAST) {
		struct cpumask *words = READABLE(address, struct cpumask);

		return words->bits[0];
	}
	word = 0;
	bpf_probe_read_kernel(&word, sizeof(word), address);
	return word;
}

/* Down the page cache of an inode of which nothing is known but its address. */

/* (Its mapping is its own: only device nodes have another one's.) */
static __always_inline void *inode_cache(void *inode)
{
	return inode + bpf_core_field_offset(struct inode, i_data);
}

static __always_inline void *inode_pages(void *inode)
{
	return inode_cache(inode) + bpf_core_field_offset(struct address_space, i_pages);
}

static __always_inline __u64 xarray_head(void *xarray)
{
	return word_at(xarray + bpf_core_field_offset(struct xarray, xa_head));
}

static __always_inline __u64 xa_node_shift(struct xa_node *node)
{
	return HAVE_CAST ? xa_node_readable(node)->shift : BPF_CORE_READ(node, shift);
}

static __always_inline __u64 xa_node_array(void *node)
{
	return word_at(node + bpf_core_field_offset(struct xa_node, array));
}

static __always_inline __u64 xa_node_slot(void *node, __u64 k)
{
	return word_at(node + bpf_core_field_offset(struct xa_node, slots) + k * sizeof(void *));
}

/* From a descriptor of the calling process to its file. */

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} KERNEL_STRUCT;

struct files_struct {
	struct fdtable *fdt;
} KERNEL_STRUCT;

/* Tasks, and what they have mapped. */

struct upid {
	int nr;
} KERNEL_STRUCT;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} KERNEL_STRUCT;

struct mm_struct;

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct files_struct *files;
} KERNEL_STRUCT;

/*
 * The number of a task in the pid namespace that many levels below the first. (In BTF numbers[] has
 * one element up to 6.4 and none since b69f0aeb0689 "pid: Replace struct pid 1-element array with
 * flex-array": only where it begins can be told in all.)
 */
static __always_inline int pid_number(struct pid *pid, unsigned int level)
{
	int nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (char *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid));
	return nr;
}

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
} KERNEL_STRUCT;

/* After 6.18 there is a bitmap too, in a union with vm_flags, which is on its way out. */
struct vma_flags___bitmap {
	unsigned long __vma_flags[1];
} KERNEL_STRUCT;

struct vm_area_struct___bitmap {
	struct vma_flags___bitmap flags;
} KERNEL_STRUCT;

static __always_inline unsigned long vma_flags(struct vm_area_struct *vma)
{
	struct vm_area_struct___bitmap *bitmap = (void *)vma;

	if (bpf_core_field_exists(vma->vm_flags))
		return vma->vm_flags;
	return bitmap->flags.__vma_flags[0];
}

/*
 * Flags of a folio. 6.18 wrapped them in a structure (53fbef56e07d "mm: introduce
 * memdesc_flags_t"); they are one word at the same place all the same.
 */
#define FOLIO_MAPPING_ANON 1 /* no mapping, but a struct anon_vma */

struct folio {
	unsigned long flags;
	struct address_space *mapping;
	unsigned long index;
} KERNEL_STRUCT;

struct folio___6_18 {
	struct {
		unsigned long f;
	} flags;
} KERNEL_STRUCT;

/* The swap entry of its first page, while it is in the swap cache (6.6 and later). */
struct folio___swap {
	struct {
		unsigned long val;
	} swap;
} KERNEL_STRUCT;

/* Until then each of its pages had an entry (cfeed8ffe55b "mm/swap: stop using page->private on
 * tail pages for THP_SWAP"). */
struct folio___private {
	void *private;
} KERNEL_STRUCT;

static __always_inline __u64 folio_entry(const struct folio *folio)
{
	const struct folio___swap *with_swap = (const void *)folio;

	if (bpf_core_field_exists(with_swap->swap))
		return with_swap->swap.val;
	return (__u64)((const struct folio___private *)folio)->private;
}

/*
 * How many pages a large folio has; the name changed in 6.14 or 6.15. What has neither (32 bits) is
 * taken for a small one.
 */
struct folio___pages {
	unsigned int _nr_pages;
} KERNEL_STRUCT;

struct folio___folio_pages {
	unsigned int _folio_nr_pages;
} KERNEL_STRUCT;

struct page {
	unsigned long flags;
} KERNEL_STRUCT;

/* The numbers of the bits change with the kernel: only the names count. */
enum pageflags {
	PG_locked,
	PG_writeback,
	PG_uptodate,
	PG_dirty,
	PG_head,
};

static __always_inline int folio_read_flags(const void *folio, unsigned long *ret)
{
	const struct folio___6_18 *wrapped = folio;
	const struct folio *plain = folio;

	if (bpf_core_field_exists(plain->flags))
		return bpf_probe_read_kernel(ret, sizeof(*ret), &plain->flags);
	return bpf_probe_read_kernel(ret, sizeof(*ret), &wrapped->flags);
}

static __always_inline bool_t flags_are_large(unsigned long flags)
{
	return flags >> bpf_core_enum_value(enum pageflags, PG_head) & 1;
}

/* Of a folio by the pointer that a program was given, which may be followed. */
static __always_inline bool_t folio_is_large(const struct folio *folio)
{
	const struct folio___6_18 *wrapped = (const void *)folio;

	return flags_are_large(bpf_core_field_exists(folio->flags) ? folio->flags
								   : wrapped->flags.f);
}

static __always_inline __u64 folio_pages(const struct folio *folio)
{
	const struct folio___pages *pages = (const void *)folio;
	const struct folio___folio_pages *folio_pages = (const void *)folio;

	if (!folio_is_large(folio))
		return 1;
	if (bpf_core_field_exists(pages->_nr_pages))
		return pages->_nr_pages;
	if (bpf_core_field_exists(folio_pages->_folio_nr_pages))
		return folio_pages->_folio_nr_pages;
	return 1;
}

/* Of any other. */
static __always_inline __u64 folio_pages_read(const struct folio *folio)
{
	const struct folio___pages *pages = (const void *)folio;
	const struct folio___folio_pages *folio_pages = (const void *)folio;
	unsigned long flags;

	if (folio_read_flags(folio, &flags) < 0 || !flags_are_large(flags))
		return 1;
	if (bpf_core_field_exists(pages->_nr_pages))
		return BPF_CORE_READ(pages, _nr_pages);
	if (bpf_core_field_exists(folio_pages->_folio_nr_pages))
		return BPF_CORE_READ(folio_pages, _folio_nr_pages);
	return 1;
}

enum writing {
	WRITTEN,
	NEVER_WRITTEN,
	UNDER_WAY, /* not yet, but somebody is at it */
};

/*
 * What fallocate made is not uptodate until it is written. Until 6.3 neither is the large folio
 * into which a collapse copies pages, and which has their places meanwhile; but that one is locked
 * (f3f0e1d2150b "khugepaged: add support of collapse for tmpfs/shmem pages").
 */
static __always_inline enum writing folio_writing(const void *folio)
{
	unsigned long flags;

	/* To be looked at again: what cannot be read is nothing that we know. */
	if (folio_read_flags(folio, &flags) < 0)
		return UNDER_WAY;
	if (flags >> bpf_core_enum_value(enum pageflags, PG_uptodate) & 1)
		return WRITTEN;
	if (flags >> bpf_core_enum_value(enum pageflags, PG_locked) & 1)
		return UNDER_WAY;
	return NEVER_WRITTEN;
}

/*
 * The swap. Whether a slot is in the swap cache:
 * - until 6.19 swap_map has a byte a slot, of which 0x40 says so; in 7.0 it only counts, and 7.1
 * has no swap_map
 * - from 6.18 each cluster has a table with a word a slot; 7.1 has nothing else
 * Which pages were all zeros and never written: zeromap, a bit a slot, from 6.12 to 7.1
 * (0ca0c24e3211 "mm: store zero pages to be swapped out in a bitmap"); 7.2 keeps it in the table,
 * but on machines of 32 bits, where clusters have a zero_bitmap.
 */
struct swap_cluster_info {
	void *table;
	unsigned long *zero_bitmap;
} KERNEL_STRUCT;

#define SWAP_ENTRY_TYPE_SHIFT 58

/* From 7.1 on a word of a table has five bits of flags and, of a folio, the number of its page. */
#define SWAP_TABLE_FLAGS ((__u64)31 << 59)
#define SWAP_TABLE_NUMBER_SHIFT 2

/* Slots that a folio may have, at most. */
#define SWAP_FOLIO_SLOTS ((__u64)1 << 13)

/* Of swaps that lie on other swaps, proposed after 7.2: a slot is then no place on a device. */
struct swap_cluster_info_dynamic;

struct swap_table {
	unsigned long entries[512];
} KERNEL_STRUCT;

struct swap_info_struct {
	unsigned long flags;
	signed char type;
	unsigned int max;
	struct file *swap_file;
	unsigned char *swap_map;
	unsigned long *zeromap;
	unsigned long *frontswap_map;
	struct swap_cluster_info *cluster_info;
} KERNEL_STRUCT;

/*
 * What zswap holds. Until 6.6 frontswap_map has a bit for slots that it took, which stays when it
 * writes them back to the device. From 6.10 on there are xarrays, by offset in the swap, one for
 * each 1 << 14 slots (796c2c23e14e "zswap: replace RB tree with xarray"); entries had an rbnode
 * until then.
 */
struct zswap_entry {
	void *pool;
	struct {
		unsigned long rb[3];
	} rbnode;
} KERNEL_STRUCT;

#define ZSWAP_TREE_SHIFT 14

static __always_inline bool_t zswap_is_xarray(void)
{
	struct zswap_entry *entry = NULL;

	return bpf_core_type_exists(struct zswap_entry) && !bpf_core_field_exists(entry->rbnode);
}

/* Words of swap_cluster_info.table for one cluster. */
static __always_inline __u64 swap_cluster_slots(void)
{
	return bpf_core_type_exists(struct swap_table)
		       ? bpf_core_type_size(struct swap_table) / sizeof(unsigned long)
		       : 0;
}

/* What iterators are given. */

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL_STRUCT;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} KERNEL_STRUCT;

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
} KERNEL_STRUCT;
