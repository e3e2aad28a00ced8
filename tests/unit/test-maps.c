/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "discover/maps.h"
#include "probe/pagemap.h"

static const struct {
	const char *line;
	uint64_t start, end, offset;
	bool shared;
	unsigned dev_major, dev_minor;
	uint64_t ino;
	const char *path;
} lines[] = {
	{"7f2b4c000000-7f2b4c021000 rw-s 00003000 00:01 1234                       /memfd:guest "
	 "(deleted)",
	 0x7f2b4c000000, 0x7f2b4c021000, 0x3000, true, 0, 1, 1234, "/memfd:guest (deleted)"},
	/* The first System V segment has shmid 0, and so inode number 0. */
	{"7f0000000000-7f0000001000 rw-s 00000000 00:01 0                          /SYSV00000000 "
	 "(deleted)",
	 0x7f0000000000, 0x7f0000001000, 0, true, 0, 1, 0, "/SYSV00000000 (deleted)"},
	{"55d0c0000000-55d0c0001000 r--p 00000000 fd:1a 99999999999 /usr/bin/a file  with   blanks",
	 0x55d0c0000000, 0x55d0c0001000, 0, false, 0xfd, 0x1a, 99999999999,
	 "/usr/bin/a file  with   blanks"},
	/* Anonymous memory has no path, and the kernel then writes no blanks behind the inode. */
	{"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 ", 0x7ffc00000000, 0x7ffc00021000, 0,
	 false, 0, 0, 0, ""},
	{"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0", 0x7ffc00000000, 0x7ffc00021000, 0,
	 false, 0, 0, 0, ""},
	{"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]",
	 0x7ffc00000000, 0x7ffc00021000, 0, false, 0, 0, 0, "[stack]"},
	{"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
	 0xffffffffff600000, 0xffffffffff601000, 0, false, 0, 0, 0, "[vsyscall]"},
	/* An offset of more than 32 bits, all permissions. */
	{"7f0000000000-7f0000001000 rwxs 1ffffff0000 00:1c 7 /dev/shm/big", 0x7f0000000000,
	 0x7f0000001000, 0x1ffffff0000, true, 0, 0x1c, 7, "/dev/shm/big"},
	{"08048000-08056000 r-xp 00000000 03:0c 64593 /name\\012with\\012newlines", 0x08048000,
	 0x08056000, 0, false, 3, 0x0c, 64593, "/name\\012with\\012newlines"},
	/* The largest numbers of devices and inodes. */
	{"1000-2000 ---s 0 fff:fffff 18446744073709551615 /x", 0x1000, 0x2000, 0, true, 0xfff,
	 0xfffff, UINT64_MAX, "/x"},
	{"1000-2000 ---s 00000000 00:01 5 /dev/zero (deleted)", 0x1000, 0x2000, 0, true, 0, 1, 5,
	 "/dev/zero (deleted)"},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char *line = strdup(lines[i].line);
		struct map_line m;

		assert_int_equal(map_line_parse(line, &m), 0);
		assert_int_equal(m.start, lines[i].start);
		assert_int_equal(m.end, lines[i].end);
		assert_int_equal(m.offset, lines[i].offset);
		assert_int_equal(m.shared, lines[i].shared);
		assert_int_equal(major(m.dev), lines[i].dev_major);
		assert_int_equal(minor(m.dev), lines[i].dev_minor);
		assert_int_equal(m.ino, lines[i].ino);
		assert_string_equal(m.path, lines[i].path);
		free(line);
	}
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"garbage",
		"1000-2000",
		"1000-2000 rw-s",
		"1000-2000 rw-s 00000000 00:01",
		"1000-2000 rw- 00000000 00:01 5 /x",
		"1000-2000 rw-sx 00000000 00:01 5 /x",
		"2000-1000 rw-s 00000000 00:01 5 /x",
		"1000-1000 rw-s 00000000 00:01 5 /x",
		"1000 2000 rw-s 00000000 00:01 5 /x",
		"1000-2000 rw-s 00000000 0001 5 /x",
		"Rss:                   4 kB",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct map_line m = {.ino = 77};
		char *line = strdup(bad[i]);

		if (map_line_parse(line, &m) != -EINVAL || m.ino != 77)
			fail_msg("\"%s\" was taken", bad[i]);
		free(line);
	}
}

static void test_unescape(void **state)
{
	static const struct {
		const char *escaped, *path;
	} cases[] = {
		{"", ""},
		{"/dev/shm/x", "/dev/shm/x"},
		{"/a\\012b", "/a\nb"},
		{"\\012\\012", "\n\n"},
		{"/a\\01", "/a\\01"},
		{"/a\\0123", "/a\n3"},
		{"/a\\040b", "/a\\040b"}, /* the kernel escapes nothing but newlines */
		{"/a\\", "/a\\"},
		{"/a\\\\012", "/a\\\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *path = strdup(cases[i].escaped);

		map_path_unescape(path);
		assert_string_equal(path, cases[i].path);
		free(path);
	}
}

/* Words of a private mapping: the process's own page, or see the object. */
static void test_private_words(void **state)
{
	const uint64_t flags = PAGEMAP_SOFT_DIRTY | PAGEMAP_EXCLUSIVE, frame = 0x12345;
	const uint64_t offset = UINT64_C(0x999) << 5;
	static const struct {
		unsigned type;
		enum pagemap_private expected;
	} types[] = {
		{0, PRIVATE_SWAPPED},  {1, PRIVATE_SWAPPED},  {22, PRIVATE_SWAPPED},
		{23, PRIVATE_UNKNOWN}, {28, PRIVATE_UNKNOWN}, {30, PRIVATE_UNKNOWN},
		{31, PRIVATE_NONE}, /* a marker: uffd-wp, guard, poison */
	};

	(void)state;
	assert_int_equal(pagemap_classify_private(0), PRIVATE_NONE);
	assert_int_equal(pagemap_classify_private(PAGEMAP_SOFT_DIRTY), PRIVATE_NONE);
	assert_int_equal(pagemap_classify_private(PAGEMAP_PRESENT | PAGEMAP_FILE | frame),
			 PRIVATE_NONE);
	assert_int_equal(pagemap_classify_private(PAGEMAP_PRESENT | frame), PRIVATE_PRESENT);
	assert_int_equal(pagemap_classify_private(PAGEMAP_PRESENT | flags), PRIVATE_PRESENT);
	/* Frames read as 0 without CAP_SYS_ADMIN: the flags alone decide. */
	assert_int_equal(pagemap_classify_private(PAGEMAP_PRESENT), PRIVATE_PRESENT);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint64_t word = PAGEMAP_SWAP | offset | types[i].type;

		assert_int_equal(pagemap_classify_private(word), types[i].expected);
		assert_int_equal(pagemap_classify_private(word | flags), types[i].expected);
	}
}

static void test_file_pages(void **state)
{
	(void)state;
	assert_true(pagemap_is_file_page(PAGEMAP_PRESENT | PAGEMAP_FILE));
	assert_true(pagemap_is_file_page(PAGEMAP_PRESENT | PAGEMAP_FILE | PAGEMAP_SOFT_DIRTY));
	assert_false(pagemap_is_file_page(PAGEMAP_PRESENT));
	assert_false(pagemap_is_file_page(PAGEMAP_FILE));
	assert_false(pagemap_is_file_page(PAGEMAP_SWAP | PAGEMAP_FILE));
	assert_false(pagemap_is_file_page(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),      cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_unescape),   cmocka_unit_test(test_private_words),
		cmocka_unit_test(test_file_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
