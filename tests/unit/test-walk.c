/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The walk on objects without swap: against what was made, and against the portable probe, which
 * reads nothing of what the walk reads. Needs root. What needs swap is in tests/system/race.c.
 */

#include "walks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The whole of it, and the portable probe. */
static void check(int fd, const struct state_map *expected)
{
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};

	check_range(fd, PROBE_ALL, expected);
	if (!kcaps_has(&caps, KCAP_CACHESTAT))
		return;
	assert_int_equal(probe_portable(&request, &s), 0);
	if (!is_as_made(fd, expected, &s.map)) {
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
	for (int i = 0; i < rounds(100); i++) {
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
	for (int i = 0; i < rounds(2000); i++)
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
	for (int i = 0; i < rounds(300); i++)
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
	assert_true(count_mappings(NULL) < n_mappings + 50); /* the heap's may be more */
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
		assert_true(is_as_made(fd, &expected, &s.map));
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

	(void)state;
	assert_true(fd >= 0);
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

/* In a process of its own: what it may do is not to come back. Returns 0 or a negative errno. */
static int drop_all_but(uint64_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
		{.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The service has no more (man page, PRIVILEGES): libbpf must not want CAP_SYS_ADMIN. */
static void test_few_capabilities(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct prober few = {0};
		struct kcaps few_caps = caps;
		int r = drop_all_but(UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_PERFMON);

		if (r == 0)
			r = prober_open_to_locate(&few, &few_caps, PROBE_WALK);
		prober_done(&few);
		_exit(r < 0 ? -r : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
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
		cmocka_unit_test(test_few_capabilities),
	};

	return walks_main(tests, ARRAY_SIZE(tests), LOCK_SH);
}
