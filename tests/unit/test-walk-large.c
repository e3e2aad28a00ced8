/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The walk on objects with large folios. The reference is the portable probe: what a large folio
 * covers is the kernel's choice. Needs root.
 */

#include "walks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

/*
 * On a tmpfs of its own, which makes large folios and is nowhere to be seen any more when this
 * returns. -1: no such tmpfs here.
 */
static int huge_object(uint64_t pages)
{
	char dir[] = "/tmp/shmstate-walk.XXXXXX", path[64];
	int fd;

	if (!mkdtemp(dir))
		return -1;
	if (mount("shmstate-walk", dir, "tmpfs", 0, "huge=always,mode=0700") < 0) {
		rmdir(dir);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/object", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * page_size)), 0);
	return fd;
}

/* There are such, and the portable probe can tell what they are. */
static bool have_huge(void)
{
	int fd = huge_object(1);

	if (fd >= 0)
		close(fd);
	return fd >= 0 && kcaps_has(&caps, KCAP_CACHESTAT);
}

static uint64_t blocks_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks / (page_size / 512);
}

/* By the portable probe: the whole, and parts of it. */
static void check_by_portable(int fd)
{
	struct probe_request request = request_of(fd, &caps);
	struct random random = {.state = 34};
	struct snapshot s = {0};

	assert_int_equal(probe_portable(&request, &s), 0);
	if (s.counts[PAGE_UNKNOWN] == 0)
		check_range(fd, PROBE_ALL, &s.map);
	for (int i = 0; i < 50 && s.counts[PAGE_UNKNOWN] == 0; i++)
		check_range(fd,
			    (struct page_range){random_below(&random, s.count),
						random_below(&random, s.count)},
			    &s.map);
	snapshot_done(&s);
}

static void punch(int fd, uint64_t first, uint64_t count)
{
	allocate(fd, first, count, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

/* Writes one page of each stretch of 512, which brings in more where folios are large. */
static void test_huge_written(void **state)
{
	struct random random = {.state = 35};
	int fd;

	(void)state;
	if (!have_huge())
		skip();
	for (int i = 0; i < 20; i++) {
		fd = huge_object(6000);
		for (uint64_t page = random_below(&random, 1000); page < 6000;
		     page += random_below(&random, 2000))
			write_page(fd, page);
		check_by_portable(fd);
		/* Holes split the folios. */
		for (int n = 0; n < 6; n++) {
			punch(fd, random_below(&random, 5900), 1 + random_below(&random, 99));
			check_by_portable(fd);
		}
		assert_int_equal(ftruncate(fd, (off_t)(random_below(&random, 6000) * page_size)),
				 0);
		check_by_portable(fd);
		close(fd);
	}
}

/* fallocate makes more pages than it was asked for, and remembers only what it was asked for. */
static void test_huge_allocated(void **state)
{
	static const uint64_t firsts[] = {0, 1, 63, 64, 100, 511, 512, 700};
	int fd;

	(void)state;
	if (!have_huge())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
		fd = huge_object(2048);
		allocate(fd, firsts[i], 1, FALLOC_FL_KEEP_SIZE);
		if (blocks_of(fd) == 1)
			print_message("no large folios here\n");
		check_by_portable(fd);
		/* Splits it; the pages that are left are as they were. */
		punch(fd, firsts[i] + 200, 20);
		check_by_portable(fd);
		write_page(fd, firsts[i]);
		check_by_portable(fd);
		close(fd);
	}
}

/* What was asked for is taken back, but the rest of the folio stays. */
static void test_huge_allocated_and_punched(void **state)
{
	int fd;

	(void)state;
	if (!have_huge())
		skip();
	fd = huge_object(2048);
	allocate(fd, 512, 1, FALLOC_FL_KEEP_SIZE);
	punch(fd, 512, 64);
	check_by_portable(fd);
	close(fd);
}

/* ---- folios of other sizes, which the system has to be told to make ---------------------------
 */

static bool read_knob(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
	char *begin, *end;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	ret[n] = '\0';
	begin = strchr(ret, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (!end)
		return false;
	*end = '\0';
	memmove(ret, begin + 1, strlen(begin + 1) + 1);
	return true;
}

static bool write_knob(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static void check_order(unsigned order)
{
	const uint64_t pages = 2048, align = 512;
	int fd = new_object(pages * page_size);
	char *area = mmap(NULL, (pages + align) * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	char *map = (char *)(((uintptr_t)area + align * page_size - 1) &
			     ~(uintptr_t)(align * page_size - 1));

	assert_true(area != MAP_FAILED);
	assert_true(mmap(map, pages * page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == map);
	assert_int_equal(madvise(map, pages * page_size, MADV_HUGEPAGE), 0);
	for (uint64_t page = 5; page < pages; page += 1 + page / 4)
		map[page * page_size] = 1;
	/* khugepaged, which comes by now and then, would fill the holes between two looks. */
	assert_int_equal(madvise(map, pages * page_size, MADV_NOHUGEPAGE), 0);
	if (blocks_of(fd) >= UINT64_C(1) << order)
		print_message("folios of %u pages: %llu present\n", 1u << order,
			      (unsigned long long)blocks_of(fd));
	check_by_portable(fd);
	punch(fd, 7, 3);
	punch(fd, 1000, 50);
	check_by_portable(fd);
	munmap(area, (pages + align) * page_size);
	check_by_portable(fd);
	close(fd);
}

static void test_orders(void **state)
{
	static const unsigned orders[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

	(void)state;
	if (!kcaps_has(&caps, KCAP_CACHESTAT))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		char path[128], old[64];

		snprintf(path, sizeof(path),
			 "/sys/kernel/mm/transparent_hugepage/hugepages-%llukB/shmem_enabled",
			 (unsigned long long)(page_size / 1024) << orders[i]);
		if (!read_knob(path, old, sizeof(old)) || !write_knob(path, "advise"))
			continue;
		check_order(orders[i]);
		assert_true(write_knob(path, old));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_huge_written),
		cmocka_unit_test(test_huge_allocated),
		cmocka_unit_test(test_huge_allocated_and_punched),
		cmocka_unit_test(test_orders),
	};

	return walks_main(tests, ARRAY_SIZE(tests), LOCK_EX);
}
