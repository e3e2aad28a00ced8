/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "discover/device.h"

#define TMPFS 0x01021994
#define HUGETLBFS 0x958458f6
#define SECRETMEM 0x5345434d
#define GUEST_MEMFD 0x474d454d
#define ANON_INODE 0x09041934
#define EXT4 0xef53
#define RAMFS 0x858458f6

/* 00:01 and 00:1c */
#define SHMEM_DEV 1
#define OTHER_DEV 0x1c

static const struct {
	uint64_t magic;
	dev_t dev;
	const char *text;
	int kind;
	const char *name; /* NULL: none */
} files[] = {
	{TMPFS, SHMEM_DEV, "/memfd:guest (deleted)", OBJECT_MEMFD, "guest"},
	{TMPFS, SHMEM_DEV, "/memfd: (deleted)", OBJECT_MEMFD, ""},
	{TMPFS, SHMEM_DEV, "/memfd:a b (deleted) (deleted)", OBJECT_MEMFD, "a b (deleted)"},
	{TMPFS, SHMEM_DEV, "/memfd:x\ny (deleted)", OBJECT_MEMFD, "x\ny"},
	{TMPFS, SHMEM_DEV, "/SYSV00000000 (deleted)", OBJECT_SYSV, "SYSV00000000"},
	{TMPFS, SHMEM_DEV, "/SYSVdeadbeef (deleted)", OBJECT_SYSV, "SYSVdeadbeef"},
	{TMPFS, SHMEM_DEV, "/dev/zero (deleted)", OBJECT_ANON, NULL},
	{TMPFS, SHMEM_DEV, "/i915 (deleted)", OBJECT_SHMEM, "/i915"},
	{TMPFS, OTHER_DEV, "/dev/shm/x", OBJECT_TMPFS, "/dev/shm/x"},
	{TMPFS, OTHER_DEV, "/dev/shm/x (deleted)", OBJECT_TMPFS, "/dev/shm/x"},
	{TMPFS, OTHER_DEV, "/dev/shm/ x ", OBJECT_TMPFS, "/dev/shm/ x "},
	/* A tmpfs of one's own may be mounted on the root of a namespace, or hold any name. */
	{TMPFS, OTHER_DEV, "/SYSV00000000", OBJECT_TMPFS, "/SYSV00000000"},
	{TMPFS, OTHER_DEV, "/dev/zero", OBJECT_TMPFS, "/dev/zero"},
	{TMPFS, OTHER_DEV, "/memfd:fake", OBJECT_TMPFS, "/memfd:fake"},
	{HUGETLBFS, OTHER_DEV, "/dev/hugepages/x", OBJECT_HUGETLB, "/dev/hugepages/x"},
	{HUGETLBFS, OTHER_DEV, "/memfd:huge (deleted)", OBJECT_HUGETLB, "huge"},
	{HUGETLBFS, OTHER_DEV, "/anon_hugepage (deleted)", OBJECT_HUGETLB, NULL},
	{SECRETMEM, OTHER_DEV, "/secretmem (deleted)", OBJECT_SECRETMEM, NULL},
	{GUEST_MEMFD, OTHER_DEV, "/[kvm-gmem] (deleted)", OBJECT_GUEST_MEMFD, NULL},
	{ANON_INODE, OTHER_DEV, "anon_inode:[kvm-gmem]", OBJECT_GUEST_MEMFD, NULL},
	{ANON_INODE, OTHER_DEV, "anon_inode:[eventfd]", -EINVAL, NULL},
	{EXT4, OTHER_DEV, "/usr/bin/cat", -EINVAL, NULL},
	{RAMFS, OTHER_DEV, "/memfd:fake", -EINVAL, NULL},
	{EXT4, OTHER_DEV, "/memfd:fake (deleted)", -EINVAL, NULL},
};

static void test_kinds_and_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct device device = {.dev = files[i].dev, .magic = files[i].magic};
		int kind = device_object_kind(&device, SHMEM_DEV, files[i].text);
		char *name = NULL;

		if (kind != files[i].kind)
			fail_msg("%s: kind %d", files[i].text, kind);
		if (kind < 0)
			continue;
		assert_int_equal(
			object_name_from_link((enum object_kind)kind, files[i].text, &name), 0);
		if (files[i].name)
			assert_string_equal(name, files[i].name);
		else
			assert_null(name);
		free(name);
	}
}

/* statfs is asked once for each device. */
static void test_cache(void **state)
{
	struct device_cache cache = {0};
	const struct device *device, *again;
	char path[64];
	struct stat st;
	int fd = memfd_create("shmstate-device", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_null(device_known(&cache, st.st_dev));
	assert_int_equal(device_find(&cache, st.st_dev, AT_FDCWD, path, &device), 0);
	assert_int_equal(device->magic, TMPFS);
	assert_int_equal(device->dev, st.st_dev);
	assert_ptr_equal(device_known(&cache, st.st_dev), device);
	assert_int_equal(device_find(&cache, st.st_dev, AT_FDCWD, "/nowhere", &again), 0);
	assert_ptr_equal(again, device);
	for (dev_t dev = 100; dev < 200; dev++)
		assert_int_equal(device_find(&cache, dev, AT_FDCWD, "/proc", &again), 0);
	assert_int_equal(again->magic, 0x9fa0);
	device = NULL;
	assert_int_equal(device_find(&cache, 77, AT_FDCWD, "/nowhere", &device), -ENOENT);
	assert_null(device);
	assert_null(device_known(&cache, 77));
	device_cache_done(&cache);
	device_cache_done(&cache);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_and_names),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
