/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * Discovery in the kernel: of all descriptors and all mappings those of shared memory, as records
 * (discover.h). What counts as shared memory must agree with device_object_kind() of
 * src/discover/device.c, which has the last word: here is only sorted out what surely is none.
 */

#include "kernel.bpf.h"
#include "discover.h"

#define MAGIC_SHMEM 0x01021994
#define MAGIC_HUGETLBFS 0x958458f6
#define MAGIC_ANON_INODE 0x09041934
#define MAGIC_SECRETMEM 0x5345434d
#define MAGIC_GUEST_MEMFD 0x474d454d

/*
 * Where a record is put together; one for each program. The two may run at the same time only if
 * somebody reads the two iterators at the same time.
 */
struct room {
	struct discover_record record;
	char name[DISCOVER_NAME_MAX];
};

static struct room holder_room, mapper_room;

/* Before 7.x guest_memfd had no file system of its own; of that one, this inode alone is wanted. */
static __always_inline bool_t is_guest_memfd(struct file *file)
{
	char name[8] = {};

	bpf_probe_read_kernel(name, sizeof(name), file->f_path.dentry->d_name.name);
	return __builtin_memcmp(name, "[kvm-gme", sizeof(name)) == 0;
}

/* Regular files only: devtmpfs is a shmem too, with nodes that are devices. */
static __always_inline bool_t is_shared_memory(struct file *file, struct inode *inode)
{
	if ((inode->i_mode & S_IFMT) != S_IFREG)
		return 0;
	switch (inode->i_sb->s_magic) {
	case MAGIC_SHMEM:
	case MAGIC_HUGETLBFS:
	case MAGIC_SECRETMEM:
	case MAGIC_GUEST_MEMFD:
		return 1;
	case MAGIC_ANON_INODE:
		return is_guest_memfd(file);
	}
	return 0;
}

static __always_inline void fill_inode(struct discover_record *r, struct inode *inode)
{
	struct super_block *sb = inode->i_sb;

	r->ino = inode->i_ino;
	r->size = inode->i_size;
	r->generation = inode->i_generation;
	r->leased = inode_has_lease(inode);
	r->n_links = inode->i_nlink;
	r->dev = sb->s_dev;
	r->magic = sb->s_magic;
	r->block_size = sb->s_blocksize;
}

/* The iterator lists the tasks of the reader's pid namespace; these are their numbers in it. */
static __always_inline void fill_task(struct discover_record *r, struct task_struct *task)
{
	struct task_struct *reader = bpf_get_current_task_btf();
	unsigned int level = reader->thread_pid->level;

	if (level == 0) {
		r->pid = task->tgid;
		r->tid = task->pid;
	} else {
		r->pid = pid_number(task->group_leader->thread_pid, level);
		r->tid = pid_number(task->thread_pid, level);
	}
}

/* What does not fit in the reader's buffer is asked for again by the kernel. */
static __always_inline void emit(struct seq_file *seq, struct room *room, long name_size)
{
	__u64 size;

	room->record.name_size = name_size > 0 ? name_size : 0;
	size = DISCOVER_RECORD_SIZE((__u64)room->record.name_size);
	if (size <= sizeof(*room))
		bpf_seq_write(seq, room, size);
}

SEC("iter/task_file")
int discover_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct inode *inode;

	if (!task || !file)
		return 0;
	inode = file->f_inode;
	if (!is_shared_memory(file, inode) || (task->flags & PF_KTHREAD))
		return 0;
	fill_inode(&holder_room.record, inode);
	fill_task(&holder_room.record, task);
	holder_room.record.fd = ctx->fd;
	emit(ctx->meta->seq, &holder_room,
	     bpf_d_path(&file->f_path, holder_room.name, sizeof(holder_room.name)));
	return 0;
}

/*
 * Threads have the mapping of their leader; they are only asked if the leader has exited, and then
 * all of them: the reader has to sort that out.
 */
SEC("iter/task_vma")
int discover_mappers(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct *vma = ctx->vma;
	struct task_struct *task = ctx->task;
	struct inode *inode;
	struct file *file;

	if (!task || !vma)
		return 0;
	file = vma->vm_file;
	if (!file)
		return 0;
	inode = file->f_inode;
	if (!is_shared_memory(file, inode) || (task->flags & PF_KTHREAD))
		return 0;
	if (task->pid != task->tgid && task->group_leader->mm)
		return 0;
	/*
	 * overlayfs maps a file of its own making of the layer below (one that counts for nobody),
	 * where /proc shows that of the overlay: no shared memory.
	 */
	if (file->f_mode & FMODE_NOACCOUNT)
		return 0;
	fill_inode(&mapper_room.record, inode);
	fill_task(&mapper_room.record, task);
	mapper_room.record.fd = -1;
	mapper_room.record.start = vma->vm_start;
	mapper_room.record.end = vma->vm_end;
	mapper_room.record.offset = vma->vm_pgoff;
	mapper_room.record.shared = !!(vma_flags(vma) & VM_MAYSHARE);
	emit(ctx->meta->seq, &mapper_room,
	     bpf_d_path(&file->f_path, mapper_room.name, sizeof(mapper_room.name)));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
