/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "probe/cachestat.h"
#include "probe/mincore.h"

/* old: the last change lies some ticks of the clock back, so that the kernel's counters can prove.
 */
static void check_made(const char *letters, bool old)
{
	int fd = make(letters);
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};

	if (old)
		usleep(30000);
	assert_int_equal(probe_portable(&request, &s), 0);
	assert_int_equal(s.first, 0);
	assert_int_equal(s.count, strlen(letters));
	assert_true(s.stable);
	compare(fd, &s, &caps, letters);
	snapshot_done(&s);
	close(fd);
}

static void test_made(void **state)
{
	static const char *const objects[] = {
		"",
		".",
		"a",
		"P",
		"....",
		"aaaa",
		"PPPP",
		".aP",
		"Pa.",
		"aP.aP.aP.",
		"PPPPPPPP........aaaaaaaa",
		"........PPPPPPPPaaaaaaaaPPPPPPPP",
		"P.P.P.P.P.P.P.P.P.P.P.P.P.P.P.P.",
		"a.a.a.a.P.P.P.P.PaPaPaPa",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		check_made(objects[i], i % 2);
}

static void test_random(void **state)
{
	struct random random = {.state = 7};

	(void)state;
	for (int i = 0; i < 60; i++) {
		size_t n = random_below(&random, 1300), at = 0; /* over several windows */
		char letters[1301];

		while (at < n) {
			size_t run = MIN(1 + random_below(&random, 90), n - at);

			memset(letters + at, ".aP"[random_below(&random, 3)], run);
			at += run;
		}
		letters[n] = '\0';
		check_made(letters, i % 4 == 0);
	}
}

static void test_sizes(void **state)
{
	static const uint64_t sizes[] = {0, 1, 4095, 4096, 4097, 65535, 65537, 3 * 65536};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t pages = size_to_pages(sizes[i], page_size);
		int fd = new_object(sizes[i]);
		struct probe_request request = request_of(fd, &caps);
		struct snapshot s = {0};

		if (pages > 0)
			write_page(fd, pages - 1); /* lengthens nothing: one byte at its start */
		assert_int_equal(probe_portable(&request, &s), 0);
		check_snapshot(&s);
		assert_int_equal(s.size, sizes[i]);
		assert_int_equal(s.count, pages);
		if (pages > 0 && pages_swapped(fd) == 0)
			assert_true(is_right(&caps, 'P', letter_of(state_of(&s, pages - 1))));
		if (kcaps_has(&caps, KCAP_CACHESTAT))
			assert_int_equal(s.counts[PAGE_HOLE], pages > 0 ? pages - 1 : 0);
		snapshot_done(&s);
		close(fd);
	}
}

static void test_ranges(void **state)
{
	static const char letters[] = "PP..aaPP..aaPP..";
	static const struct {
		struct page_range asked;
		uint64_t first, count;
	} cases[] = {
		{{0, 1}, 0, 1},
		{{3, 5}, 3, 5},
		{{15, 1}, 15, 1},
		{{15, 9}, 15, 1},
		{{16, 1}, 16, 0},
		{{99, 7}, 16, 0},
		{{2, UINT64_MAX - 2}, 2, 14},
	};
	int fd = make(letters);
	struct probe_request request = request_of(fd, &caps);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct snapshot s = {0};

		request.range = cases[i].asked;
		assert_int_equal(probe_portable(&request, &s), 0);
		assert_int_equal(s.first, cases[i].first);
		assert_int_equal(s.count, cases[i].count);
		compare(fd, &s, &caps, letters);
		snapshot_done(&s);
	}
	close(fd);
}

/* A part of an object that is too large to be looked at whole. */
static void test_range_of_large_object(void **state)
{
	int fd = new_object(100000 * page_size);
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};
	char *letters = malloc(100000);

	(void)state;
	assert_non_null(letters);
	memset(letters, '.', 100000);
	for (uint64_t i = 0; i < 100000; i += 999) {
		write_page(fd, i);
		letters[i] = 'P';
	}
	allocate(fd, 70000, 600, 0);
	for (uint64_t i = 70000; i < 70600; i++)
		if (letters[i] == '.')
			letters[i] = 'a';
	request.range = (struct page_range){49000, 30000};
	assert_int_equal(probe_portable(&request, &s), 0);
	assert_int_equal(s.first, 49000);
	assert_int_equal(s.count, 30000);
	assert_true(s.stable);
	compare(fd, &s, &caps, letters);
	snapshot_done(&s);
	free(letters);
	close(fd);
}

static void test_two_terabytes(void **state)
{
	const uint64_t pages = (UINT64_C(2) << 40) / page_size, step = pages / 100;
	int fd = new_object(UINT64_C(2) << 40);
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		write_page(fd, i * step + i);
	assert_int_equal(probe_portable(&request, &s), 0);
	check_snapshot(&s);
	assert_int_equal(s.count, pages);
	if (pages_swapped(fd) > 0)
		skip();
	for (uint64_t i = 0; i < 100; i++)
		assert_true(is_right(&caps, 'P', letter_of(state_of(&s, i * step + i))));
	if (kcaps_has(&caps, KCAP_CACHESTAT)) {
		assert_int_equal(s.counts[PAGE_PRESENT], 100);
		assert_int_equal(s.counts[PAGE_HOLE], pages - 100);
	} else {
		assert_int_equal(s.counts[PAGE_PRESENT] + s.counts[PAGE_IN_CORE], 100);
	}
	snapshot_done(&s);
	close(fd);
}

static void test_changes(void **state)
{
	int fd = make("PPPPPPPP........");
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};

	(void)state;
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)(2 * page_size), (off_t)(3 * page_size)),
			 0);
	assert_int_equal(probe_portable(&request, &s), 0);
	compare(fd, &s, &caps, "PP...PPP........");
	snapshot_done(&s);

	assert_int_equal(ftruncate(fd, (off_t)(6 * page_size)), 0);
	assert_int_equal(probe_portable(&request, &s), 0);
	assert_int_equal(s.count, 6);
	compare(fd, &s, &caps, "PP...P");
	snapshot_done(&s);

	assert_int_equal(ftruncate(fd, (off_t)(9 * page_size)), 0); /* what was cut off is gone */
	assert_int_equal(probe_portable(&request, &s), 0);
	compare(fd, &s, &caps, "PP...P...");
	snapshot_done(&s);
	close(fd);
}

/* Pages that fallocate made beyond the end are none of the object's. */
static void test_allocated_beyond_the_end(void **state)
{
	int fd = make("P.P.");
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {0};

	(void)state;
	allocate(fd, 4, 10, FALLOC_FL_KEEP_SIZE);
	assert_int_equal(probe_portable(&request, &s), 0);
	assert_int_equal(s.count, 4);
	compare(fd, &s, &caps, "P.P.");
	snapshot_done(&s);
	close(fd);
}

/* Open for reading, sealed, and nothing left behind: neither a page filled nor a mapping. */
static void test_leaves_no_trace(void **state)
{
	static const char letters[] = "P.a.P.a.";
	struct snapshot s = {0};
	struct slot_counts before = {0}, after = {0};
	int fd = make(letters), again;
	struct probe_request request;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(again >= 0);
	request = request_of(again, &caps);
	cachestat_count(fd, page_size, 0, 8, &before);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(probe_portable(&request, &s), 0);
		compare(fd, &s, &caps, letters);
		snapshot_done(&s);
	}
	cachestat_count(fd, page_size, 0, 8, &after);
	if (pages_swapped(fd) == 0)
		assert_int_equal(before.folios, after.folios);
	assert_int_equal(fcntl(again, F_GETFD), FD_CLOEXEC); /* still ours, still open */
	close(again);
	close(fd);
}

static void test_not_memory(void **state)
{
	int fds[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct probe_request request = request_of(fd, &caps);
	struct snapshot s = {.count = 77};

	(void)state;
	assert_true(probe_portable(&request, &s) < 0);
	close(fd);
	assert_int_equal(pipe(fds), 0);
	request.fd = fds[0];
	assert_true(probe_portable(&request, &s) < 0);
	close(fds[0]);
	close(fds[1]);
	request.fd = -1;
	assert_true(probe_portable(&request, &s) < 0);
	assert_int_equal(s.count, 77); /* untouched */
}

/* VmFlags of the mapping there, as smaps has them: " nh" among them is MADV_NOHUGEPAGE. */
static bool khugepaged_keeps_off(const void *address)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	bool inside = false, off = false;
	char line[512];

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		char *end;
		uintmax_t start = strtoumax(line, &end, 16);

		if (*end == '-' && end > line)
			inside = start == (uintptr_t)address;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			off = strstr(line, " nh") != NULL;
	}
	fclose(smaps);
	return off;
}

/* It would fill the holes of what we have mapped: then looking were touching. */
static void test_khugepaged_keeps_off(void **state)
{
	int fd = make("P.P");
	struct mincore_map map = {.fd = fd, .page_size = page_size};
	unsigned char in_core[3];

	(void)state;
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0)
		skip();
	assert_int_equal(mincore_read(&map, 0, 3, in_core), 0);
	assert_true(khugepaged_keeps_off(map.address));
	mincore_unmap(&map);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_range_of_large_object),
		cmocka_unit_test(test_two_terabytes),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_allocated_beyond_the_end),
		cmocka_unit_test(test_leaves_no_trace),
		cmocka_unit_test(test_khugepaged_keeps_off),
		cmocka_unit_test(test_not_memory),
	};

	return cmocka_run_group_tests(tests, objects_setup, NULL);
}
