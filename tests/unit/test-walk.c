/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The walk on objects without swap: against what was made, and against the portable probe, which
 * reads nothing of what the walk reads. Needs root. What needs swap is in tests/system/race.c.
 */

#include "objects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct prober prober;

static int walk(int fd, struct page_range range, struct snapshot *ret)
{
	struct probe_request request = request_of(fd, &caps);

	request.range = range;
	return probe_walk(&prober, &request, ret);
}

static void print_difference(const struct state_map *expected, const struct state_map *got)
{
	uint64_t end = got->first + got->count;
	int lines = 0;

	for (uint64_t page = got->first; page < end && lines < 10; page++) {
		char x = letter_of(state_map_get(expected, page));
		char y = letter_of(state_map_get(got, page));

		if (x != y) {
			print_error("page %llu: expected %c, got %c\n", (unsigned long long)page, x,
				    y);
			lines++;
		}
	}
}

/* What the map says of a part of its pages. */
static struct state_map part_of(const struct state_map *map, uint64_t first, uint64_t count)
{
	struct state_cursor cursor = state_map_seek(map, first);
	struct state_map part = {.first = first};
	struct extent e;

	while (part.count < count && state_cursor_next(&cursor, &e))
		assert_int_equal(state_map_append(&part, MIN(e.count, count - part.count), e.state),
				 0);
	return part;
}

/* The range, by the walk, is as expected (the whole object's map), or somebody swaps. */
static void check_range(int fd, struct page_range range, const struct state_map *expected)
{
	uint64_t first = MIN(range.first, expected->count);
	uint64_t count = MIN(range.count, expected->count - first);
	struct state_map part = part_of(expected, first, count);
	struct snapshot s = {0};

	assert_int_equal(walk(fd, range, &s), 0);
	check_snapshot(&s);
	assert_string_equal(s.probe, "walk");
	assert_int_equal(s.first, first);
	assert_int_equal(s.count, count);
	if (state_map_difference(&s.map, &part) != 0) {
		if (pages_swapped(fd) > 0)
			skip();
		print_difference(&part, &s.map);
		fail_msg("pages [%llu, +%llu)", (unsigned long long)first,
			 (unsigned long long)count);
	}
	assert_int_equal(s.counts[PAGE_UNKNOWN], 0);
	assert_true(s.sources & SOURCE_PAGE_CACHE);
	assert_int_equal(s.reasons, 0);
	snapshot_done(&s);
	state_map_done(&part);
}

/* The whole of it, and the portable probe. */
static void check(int fd, const struct state_map *expected)
{
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};

	check_range(fd, PROBE_ALL, expected);
	if (!kcaps_has(&caps, KCAP_CACHESTAT))
		return;
	assert_int_equal(probe_portable(&request, &s), 0);
	if (state_map_difference(&s.map, expected) != 0) {
		if (pages_swapped(fd) > 0)
			skip();
		print_difference(expected, &s.map);
		fail_msg("that was the portable probe");
	}
	snapshot_done(&s);
}

static struct state_map map_of(const char *letters)
{
	struct state_map map = {0};

	for (; *letters; letters++)
		assert_int_equal(state_map_append(&map, 1,
						  *letters == 'P'   ? PAGE_PRESENT
						  : *letters == 'a' ? PAGE_ALLOCATED
								    : PAGE_HOLE),
				 0);
	return map;
}

static void check_letters(const char *letters)
{
	struct state_map expected = map_of(letters);
	int fd = make(letters);

	check(fd, &expected);
	close(fd);
	state_map_done(&expected);
}

/* So that what a walk leaves behind in its buffers is something. */
static void fill_buffers(void)
{
	char letters[40001];

	memset(letters, 'P', sizeof(letters) - 1);
	letters[sizeof(letters) - 1] = '\0';
	check_letters(letters);
}

static void test_small(void **state)
{
	static const char *const objects[] = {"",   ".",  "a",  "P",  "..",
					      ".P", "P.", "a.", "Pa", "aP"};

	(void)state;
	fill_buffers();
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		check_letters(objects[i]);
}

/* With page 0 alone the page cache has no node: the root is the entry. */
static void test_root_entry(void **state)
{
	char letters[5001];

	(void)state;
	for (size_t n = 1; n <= 5000; n = n * 3 / 2 + 1) {
		memset(letters, '.', n);
		letters[n] = '\0';
		letters[0] = n % 2 ? 'P' : 'a';
		fill_buffers();
		check_letters(letters);
	}
}

/* Borders of nodes and of their parents; full, and with the last page alone. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = {1,    2,    63,   64,    65,    127,   128,
				       4095, 4096, 4097, 32768, 32769, 36863, 40000};
	char *letters = malloc(40001);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int kind = 0; kind < 6; kind++) {
			memset(letters, ".aP.aP"[kind], sizes[i]);
			letters[sizes[i]] = '\0';
			if (kind >= 3)
				letters[sizes[i] - 1] = "P.."[kind - 3];
			check_letters(letters);
		}
	free(letters);
}

static void test_random(void **state)
{
	struct random random = {.state = 31};

	(void)state;
	for (int i = 0; i < 100; i++) {
		size_t n = random_below(&random, 10000), at = 0;
		uint64_t longest = 1 + random_below(&random, 300);
		char letters[10001];

		while (at < n) {
			size_t run = MIN(1 + random_below(&random, longest), n - at);

			memset(letters + at, ".aP"[random_below(&random, 3)], run);
			at += run;
		}
		letters[n] = '\0';
		check_letters(letters);
	}
}

/* A size that ends within a page; and pages that fallocate made, then written. */
static void test_bytes(void **state)
{
	static const uint64_t sizes[] = {1, 4095, 4097, 64 * 4096 - 1, 64 * 4096 + 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t pages = size_to_pages(sizes[i], page_size);
		struct state_map expected = {0}, written = {0};
		int fd = new_object(sizes[i]);

		state_map_append(&expected, pages, PAGE_ALLOCATED);
		allocate(fd, 0, pages, FALLOC_FL_KEEP_SIZE);
		check(fd, &expected);
		for (uint64_t page = 0; page < pages; page++)
			write_page(fd, page);
		state_map_append(&written, pages, PAGE_PRESENT);
		check(fd, &written);
		state_map_done(&expected);
		state_map_done(&written);
		close(fd);
	}
}

/* Ranges that begin and end anywhere are the same as those pages of the whole. */
static void test_ranges(void **state)
{
	struct random random = {.state = 32};
	struct state_map expected;
	char letters[9001];
	int fd;

	(void)state;
	for (size_t i = 0; i < 9000; i++)
		letters[i] = ".aP"[random_next(&random) % 1000 / 7 % 3];
	memset(letters + 1000, '.', 3500);
	letters[9000] = '\0';
	fd = make(letters);
	expected = map_of(letters);
	check(fd, &expected);
	for (uint64_t first = 0; first < 140; first++)
		for (uint64_t count = 0; count < 140; count += 1 + count / 8)
			check_range(fd, (struct page_range){first, count}, &expected);
	for (int i = 0; i < 2000; i++)
		check_range(fd,
			    (struct page_range){random_below(&random, 9200),
						random_below(&random, 9200)},
			    &expected);
	check_range(fd, (struct page_range){9000, 1}, &expected);
	check_range(fd, (struct page_range){UINT64_MAX, UINT64_MAX}, &expected);
	check_range(fd, (struct page_range){1, UINT64_MAX}, &expected);
	state_map_done(&expected);
	close(fd);
}

/* Beyond the end there is no page of the object, but the page cache has some. */
static void test_beyond_the_end(void **state)
{
	struct state_map expected = map_of("P..."), grown = map_of("P...aaaaaaaa....");
	int fd = make("P...");

	(void)state;
	allocate(fd, 4, 8, FALLOC_FL_KEEP_SIZE);
	allocate(fd, 5000, 8, FALLOC_FL_KEEP_SIZE);
	check(fd, &expected);
	assert_int_equal(ftruncate(fd, (off_t)(16 * page_size)), 0);
	check(fd, &grown);
	state_map_done(&expected);
	state_map_done(&grown);
	close(fd);
}

/* A tree that is as high as trees get. */
static void test_sparse(void **state)
{
	struct random random = {.state = 33};
	const uint64_t pages = UINT64_C(1) << 39;
	struct state_map expected = {0};
	int fd = new_object(pages * page_size);
	uint64_t at = 0;

	(void)state;
	state_map_append(&expected, pages, PAGE_HOLE);
	check(fd, &expected);
	state_map_done(&expected);
	/* Steps of every length: 1, 2, 4 ... pages, and something. */
	for (unsigned shift = 0; at + (UINT64_C(2) << shift) < pages; shift++) {
		uint64_t to = at + (UINT64_C(1) << shift) + random_below(&random, 1 << shift / 2);

		state_map_append(&expected, to - at, PAGE_HOLE);
		state_map_append(&expected, 1, shift % 3 ? PAGE_PRESENT : PAGE_ALLOCATED);
		if (shift % 3)
			write_page(fd, to);
		else
			allocate(fd, to, 1, 0);
		at = to + 1;
	}
	write_page(fd, pages - 1);
	state_map_append(&expected, pages - 1 - at, PAGE_HOLE);
	state_map_append(&expected, 1, PAGE_PRESENT);
	check(fd, &expected);
	for (int i = 0; i < 300; i++)
		check_range(fd,
			    (struct page_range){random_below(&random, pages) >>
							random_below(&random, 39),
						random_below(&random, pages)},
			    &expected);
	state_map_done(&expected);
	close(fd);
}

static unsigned count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static unsigned count_mappings(const char *name)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += !name || strstr(line, name);
	fclose(file);
	return n;
}

static void test_leaves_nothing_open(void **state)
{
	struct state_map expected = map_of("Pa..PP");
	int fd = make("Pa..PP");
	unsigned n_open, n_mappings;

	(void)state;
	check_range(fd, PROBE_ALL, &expected);
	n_open = count_open();
	n_mappings = count_mappings(NULL);
	for (int i = 0; i < 100; i++)
		check_range(fd, PROBE_ALL, &expected);
	assert_int_equal(count_open(), n_open);
	assert_int_equal(count_mappings("shmstate-probe"), 0);
	assert_true(count_mappings(NULL) <= n_mappings + 1); /* the heap may have grown */
	state_map_done(&expected);
	close(fd);
}

/* A walker that has gone has closed what it opened. */
static void test_probers_come_and_go(void **state)
{
	struct state_map expected = map_of("P.a");
	unsigned n_open = count_open();
	int fd = make("P.a");

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct probe_request request = request_of(fd, &caps);
		struct snapshot s = {0};
		struct prober p;

		assert_int_equal(prober_open(&p, &caps, PROBE_WALK), 0);
		assert_int_equal(probe(&p, &request, &s), 0);
		assert_string_equal(s.probe, "walk");
		assert_int_equal(state_map_difference(&s.map, &expected), 0);
		snapshot_done(&s);
		prober_done(&p);
	}
	close(fd);
	assert_int_equal(count_open(), n_open);
	state_map_done(&expected);
}

static void check_refused(int fd, int error)
{
	struct snapshot s = {.count = 77};
	unsigned n_open = count_open();

	assert_int_equal(walk(fd, PROBE_ALL, &s), error);
	assert_int_equal(s.count, 77); /* untouched */
	assert_int_equal(count_open(), n_open);
}

static void test_not_shmem(void **state)
{
	int fds[2], fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	(void)state;
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	check_refused(fd, -EOPNOTSUPP);
	close(fd);
	assert_int_equal(pipe(fds), 0);
	check_refused(fds[0], -EOPNOTSUPP);
	close(fds[0]);
	close(fds[1]);
	fd = memfd_create("shmstate-hugetlb", MFD_CLOEXEC | MFD_HUGETLB);
	if (fd >= 0) {
		assert_int_equal(ftruncate(fd, 4 << 20), 0);
		check_refused(fd, -EOPNOTSUPP);
		close(fd);
	}
	/* On a tmpfs, or on the kernel's own device file system which is one: no memory either. */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	check_refused(fd, -EOPNOTSUPP);
	close(fd);
	fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		check_refused(fd, -EOPNOTSUPP);
	if (fd >= 0)
		close(fd);
	check_refused(fd, -EBADF); /* closed by now */
	check_refused(-1, -EBADF);
	check_refused(1 << 20, -EBADF);
}

/* ---- large folios --------------------------------------------------------------------------- */

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

/* The portable probe is the reference: what a large folio covers is the kernel's choice. */
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
	int lock = open("/run/shmfactory.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	/* Whoever sets these takes this lock: see tests/helpers/factory-system.c. */
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || !kcaps_has(&caps, KCAP_CACHESTAT)) {
		if (lock >= 0)
			close(lock);
		skip();
	}
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
	close(lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_root_entry),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_beyond_the_end),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_leaves_nothing_open),
		cmocka_unit_test(test_probers_come_and_go),
		cmocka_unit_test(test_not_shmem),
		cmocka_unit_test(test_huge_written),
		cmocka_unit_test(test_huge_allocated),
		cmocka_unit_test(test_huge_allocated_and_punched),
		cmocka_unit_test(test_orders),
	};
	int r;

	if (objects_setup(NULL) < 0)
		return 99;
	r = prober_open(&prober, &caps, PROBE_WALK);
	if (r < 0) {
		printf("no walk here: %s\n", strerror(-r));
		return r == -EPERM || r == -EOPNOTSUPP || r == -ENOENT ? 77 : 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	prober_done(&prober);
	return r;
}
