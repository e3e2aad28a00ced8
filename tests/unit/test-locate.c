/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where pages lie in the swap: the map, the names of swaps, the addresses in code. */

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "model/slot_map.h"
#include "probe/kernel-text.h"
#include "probe/swap-names.h"

static int add(struct slot_map *map, uint64_t first, uint64_t count, uint64_t offset,
	       enum slot_content content)
{
	return slot_map_append(map, &(struct slot_extent){.first = first,
							  .count = count,
							  .offset = offset,
							  .type = 1,
							  .content = content});
}

static void test_append(void **state)
{
	struct slot_map map = {0};
	struct slot_extent other = {.first = 20, .count = 1, .offset = 57, .type = 2};

	(void)state;
	assert_int_equal(add(&map, 5, 1, 40, SLOT_DEVICE), 0);
	assert_int_equal(add(&map, 6, 3, 41, SLOT_DEVICE), 0);
	assert_int_equal(add(&map, 9, 0, 44, SLOT_DEVICE), 0);
	assert_int_equal(map.n_items, 1);
	assert_int_equal(map.items[0].count, 4);
	/* A gap in the pages, one in the slots, other content, another swap, the swap cache. */
	assert_int_equal(add(&map, 10, 2, 44, SLOT_DEVICE), 0);
	assert_int_equal(add(&map, 12, 4, 50, SLOT_DEVICE), 0);
	assert_int_equal(add(&map, 16, 4, 54, SLOT_ZERO), 0);
	assert_int_equal(slot_map_append(&map, &other), 0);
	other.first++;
	other.offset++;
	other.cached = SLOT_CACHED;
	assert_int_equal(slot_map_append(&map, &other), 0);
	assert_int_equal(map.n_items, 6);
	assert_int_equal(map.counts[SLOT_DEVICE], 12);
	assert_int_equal(map.counts[SLOT_ZERO], 4);
	assert_int_equal(map.cached, 1);
	assert_int_equal(slot_map_located(&map), 16);
	assert_int_equal(add(&map, 21, 1, 99, SLOT_DEVICE), -EINVAL);
	slot_map_done(&map);
}

static void test_seek(void **state)
{
	struct slot_map map = {0};

	(void)state;
	assert_null(slot_map_seek(&map, 0));
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(add(&map, 10 * i + 3, 4, 500 * i, SLOT_DEVICE), 0);
	for (uint64_t page = 0; page < 997; page++) {
		const struct slot_extent *e = slot_map_seek(&map, page);

		assert_non_null(e);
		assert_int_equal(e->first, (page + 3) / 10 * 10 + 3);
	}
	assert_null(slot_map_seek(&map, 997));
	slot_map_done(&map);
}

static void test_replace(void **state)
{
	struct slot_map map = {0};

	(void)state;
	assert_int_equal(add(&map, 0, 4, 0, SLOT_DEVICE), 0);
	assert_int_equal(add(&map, 4, 4, 4, SLOT_UNKNOWN), 0);
	assert_int_equal(add(&map, 8, 4, 8, SLOT_ZERO), 0);
	assert_int_equal(add(&map, 12, 4, 12, SLOT_DEVICE), 0);
	slot_map_replace(&map, SLOT_DEVICE, SLOT_UNKNOWN);
	assert_int_equal(map.n_items, 3);
	assert_int_equal(map.items[0].count, 8);
	assert_int_equal(map.items[1].content, SLOT_ZERO);
	assert_int_equal(map.items[2].content, SLOT_UNKNOWN);
	assert_int_equal(map.counts[SLOT_DEVICE], 0);
	assert_int_equal(map.counts[SLOT_UNKNOWN], 12);
	slot_map_done(&map);
}

static void expect_path(const char *line, const char *path)
{
	_cleanup_free_ char *found = swap_line_path(line);

	if (path)
		assert_string_equal(found, path);
	else
		assert_null(found);
}

static void test_paths(void **state)
{
	(void)state;
	expect_path("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n", NULL);
	expect_path("/dev/zram0                              partition\t1\t0\t5\n", "/dev/zram0");
	expect_path("/a\\040b\\011c\\012d\\134e file 1 0 5\n", "/a b\tc\nd\\e");
	expect_path("/swap\\040(deleted) file 1 0 5", "/swap (deleted)");
	expect_path("/odd\\04", "/odd\\04");
	expect_path("/odd\\999 file", "/odd\\999");
	expect_path("", NULL);
	expect_path("\n", NULL);
}

/* As the kernel keeps device numbers for itself. */
static uint32_t kernel_dev(dev_t dev)
{
	return major(dev) << 20 | minor(dev);
}

static void test_match(void **state)
{
	struct stat block = {.st_mode = S_IFBLK | 0660, .st_rdev = makedev(252, 300), .st_ino = 7};
	struct stat file = {
		.st_mode = S_IFREG | 0600, .st_dev = makedev(4095, 0xfffff), .st_ino = 77};
	struct swap_type t = {.mode = S_IFBLK | 0600, .rdev = kernel_dev(block.st_rdev)};

	(void)state;
	/* The number of the node does not matter: there may be several. */
	assert_true(swap_type_is(&t, &block));
	assert_false(swap_type_is(&t, &file));
	block.st_rdev = makedev(252, 301);
	assert_false(swap_type_is(&t, &block));
	t = (struct swap_type){
		.mode = S_IFREG | 0600, .dev = kernel_dev(file.st_dev), .inode = file.st_ino};
	assert_true(swap_type_is(&t, &file));
	file.st_ino++;
	assert_false(swap_type_is(&t, &file));
	file.st_ino--;
	file.st_dev = makedev(1, 2);
	assert_false(swap_type_is(&t, &file));
}

/* By the name of its folder in /sys, in which a ! stands for a slash. */
static void test_kernel_name(void **state)
{
	DIR *dir = opendir("/sys/dev/block");
	struct dirent *entry;
	unsigned n = 0;

	(void)state;
	while (dir && (entry = readdir(dir))) {
		struct swap_type t = {.mode = S_IFBLK | 0600};
		char link[300], target[512], path[300];
		unsigned major, minor;
		char *name;
		ssize_t length;

		if (sscanf(entry->d_name, "%u:%u", &major, &minor) != 2)
			continue;
		snprintf(link, sizeof(link), "/sys/dev/block/%s", entry->d_name);
		length = readlink(link, target, sizeof(target) - 1);
		assert_true(length > 0);
		target[length] = '\0';
		snprintf(path, sizeof(path), "/dev/%s", strrchr(target, '/') + 1);
		for (char *bang = strchr(path, '!'); bang; bang = strchr(bang, '!'))
			*bang = '/';
		t.rdev = kernel_dev(makedev(major, minor));
		name = swap_type_name(&t);
		assert_non_null(name);
		assert_string_equal(name, path);
		free(name);
		t.mode = S_IFREG | 0600;
		assert_null(swap_type_name(&t));
		n++;
	}
	if (dir)
		closedir(dir);
	if (n == 0)
		skip();
}

/* Types in use are 1 and 3; the lines come in another order, and one leads nowhere. */
static void test_names(void **state)
{
	char dir[] = "/tmp/test-locate.XXXXXX", a[64], b[64], text[512];
	struct swap_type types[SWAP_TYPES] = {0};
	struct slot_swap swaps[SWAP_TYPES];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a b", dir);
	snprintf(b, sizeof(b), "%s/c", dir);
	for (unsigned k = 1; k <= 3; k += 2) {
		const char *path = k == 1 ? a : b;
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		close(fd);
		types[k] = (struct swap_type){.address = 1,
					      .flags = SWAP_FLAG_USED,
					      .mode = S_IFREG | 0600,
					      .dev = kernel_dev(st.st_dev),
					      .inode = st.st_ino};
	}
	/* One that was in use earlier. */
	types[0] = types[1];
	types[0].flags = 0;
	snprintf(text, sizeof(text),
		 "Filename Type Size Used Priority\n%s file 1 0 5\n/nil\\040(deleted) file 1 0 4\n"
		 "%s/a\\040b file 1 0 3\n",
		 b, dir);
	swap_names_match(text, types, swaps);
	assert_false(swaps[0].in_use);
	assert_null(swaps[0].path);
	assert_true(swaps[1].in_use && swaps[1].is_file);
	assert_string_equal(swaps[1].path, a);
	assert_string_equal(swaps[3].path, b);
	free(swaps[1].path);
	free(swaps[3].path);
	swap_names_match(NULL, types, swaps);
	assert_true(swaps[3].in_use);
	assert_null(swaps[3].path);
	unlink(a);
	unlink(b);
	rmdir(dir);
}

static void test_text(void **state)
{
#ifdef __x86_64__
	/* nop; mov -0x7d000000(,%rax,8),%rax; mov 0x10(%rdi),%rax; mov -0x7cfff000(,%rdx,8),%r12 */
	static const uint8_t text[] = {0x90, 0x48, 0x8b, 0x04, 0xc5, 0x00, 0x00,
				       0x00, 0x83, 0x48, 0x8b, 0x47, 0x10, 0x4c,
				       0x8b, 0x24, 0xd5, 0x00, 0x10, 0x00, 0x83};
	uint64_t places[KERNEL_ARRAYS_MAX];

	(void)state;
	assert_int_equal(kernel_text_arrays(text, sizeof(text), places), 2);
	assert_true(places[0] == UINT64_C(0xffffffff83000000));
	assert_true(places[1] == UINT64_C(0xffffffff83001000));
	assert_true(is_kernel_address(places[0]));
	/* Cut off: nothing is read behind. */
	assert_int_equal(kernel_text_arrays(text, sizeof(text) - 1, places), 1);
	assert_int_equal(kernel_text_arrays(text, 0, places), 0);
#else
	(void)state;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),  cmocka_unit_test(test_seek),
		cmocka_unit_test(test_replace), cmocka_unit_test(test_paths),
		cmocka_unit_test(test_match),   cmocka_unit_test(test_kernel_name),
		cmocka_unit_test(test_names),   cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
