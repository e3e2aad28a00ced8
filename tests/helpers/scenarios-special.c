// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Kinds that are never swapped and have no states by page, and identities that collide.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "shmfactory.h"

/* Of Linux 5.14 and 6.8; the headers at hand may be older. */
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef KVM_CREATE_GUEST_MEMFD
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif

enum {
	HUGE_PAGES = 4,
	SMALL = 64,
};

static void adopt_stateless(struct factory *f, enum object_kind kind, int fd, uint64_t size)
{
	object_adopt(f, kind, fd, size);
	snprintf(f->note, sizeof(f->note), " states=none");
}

static void make_hugetlb(struct factory *f)
{
	static const char knob[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	static const char spare[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
	uint64_t size = (uint64_t)HUGE_PAGES << 21;
	char text[32], wanted[32];
	int fd;

	if (!read_text(spare, text, sizeof(text)))
		cannot("there are no huge pages of 2 MiB");
	if (atoi(text) < HUGE_PAGES) {
		int total = read_text(knob, text, sizeof(text)) ? atoi(text) : 0;

		snprintf(wanted, sizeof(wanted), "%d", total + HUGE_PAGES);
		set_knob(knob, wanted);
		if (!read_text(spare, text, sizeof(text)) || atoi(text) < HUGE_PAGES)
			cannot("%d huge pages cannot be had", HUGE_PAGES);
	}
	fd = memfd_create("shmfactory-huge", MFD_CLOEXEC | MFD_HUGETLB);
	if (fd < 0 || ftruncate(fd, size) < 0)
		cannot("no memfd of huge pages: %s", strerror(errno));
	adopt_stateless(f, KIND_HUGETLB, fd, size);
	object_map(f);
	f->object.address[0] = 1;
}

static void make_secretmem(struct factory *f)
{
	uint64_t size = SMALL * f->page_size;
	int fd = syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		cannot("no memfd_secret here: %s", strerror(errno));
	if (ftruncate(fd, size) < 0)
		die("ftruncate: %s", strerror(errno));
	adopt_stateless(f, KIND_SECRETMEM, fd, size);
	object_map(f);
	f->object.address[0] = 1;
}

static void make_guest_memfd(struct factory *f)
{
	struct kvm_create_guest_memfd create = {.size = SMALL * f->page_size};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, fd;

	if (kvm < 0)
		cannot("no KVM here: %s", strerror(errno));
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		cannot("KVM makes no VM: %s", strerror(errno));
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
	if (fd < 0)
		cannot("KVM makes no guest_memfd: %s", strerror(errno));
	/* only some kernels let it be filled from outside */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, create.size / 2) < 0 && errno != EOPNOTSUPP)
		die("fallocate: %s", strerror(errno));
	adopt_stateless(f, KIND_GUEST_MEMFD, fd, create.size);
}

/*
 * SysV segments carry their shmid for an inode number, on the same device as memfds: there can be
 * two objects of one DEV:INO.
 */
static void make_collision(struct factory *f, bool sysv)
{
	struct object *o = &f->object;
	char text[32];
	struct stat st;
	int fd, shmid;
	char *address;

	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	write_pages(f, 0, f->pages / 2, 2);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)o->inode);
	if (!write_text("/proc/sys/kernel/shm_next_id", text))
		cannot("the number of the next segment cannot be chosen here");
	shmid = shmget(IPC_PRIVATE, f->pages * f->page_size, IPC_CREAT | 0600);
	if (shmid < 0)
		die("shmget: %s", strerror(errno));
	undo_later(UNDO_SHMRM, NULL, NULL, shmid);
	address = shmat(shmid, NULL, 0);
	if (address == (void *)-1)
		die("shmat: %s", strerror(errno));
	fd = open_mapping(getpid(), address, f->pages * f->page_size, O_RDWR);
	if (fd < 0 || fstat(fd, &st) < 0)
		die("the segment cannot be opened: %s", strerror(errno));
	close(fd);
	if (st.st_ino != o->inode)
		cannot("segment %d has inode %llu, the memfd %llu", shmid,
		       (unsigned long long)st.st_ino, (unsigned long long)o->inode);
	f->by_id = false;
	if (!sysv) {
		/* other states there, so that a mix-up shows */
		memset(address, 1, f->pages * f->page_size);
		return;
	}
	munmap(o->address, o->mapped);
	o->address = address;
	o->shmid = shmid;
	object_adopt(f, KIND_SYSV, -1, o->size);
	swap_out_pages(f, 1, f->pages / 4, 3);
}

static void make_memfd_collision(struct factory *f)
{
	make_collision(f, false);
}

static void make_sysv_collision(struct factory *f)
{
	make_collision(f, true);
}

const struct scenario special_scenarios[] = {
	{"hugetlb", "memfd of huge pages", 0, 0, make_hugetlb},
	{"secretmem", "memfd_secret", 0, 0, make_secretmem},
	{"guest-memfd", "guest_memfd of a VM", 0, 0, make_guest_memfd},
	{"same-inode-memfd", "memfd with the DEV:INO of a segment", 0, 4, make_memfd_collision},
	{"same-inode-sysv", "segment with the DEV:INO of a memfd", NEEDS_SWAP, 4,
	 make_sysv_collision},
	{NULL, NULL, 0, 0, NULL},
};
