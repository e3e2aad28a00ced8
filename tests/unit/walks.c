/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "walks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

struct prober prober;

int walk(int fd, struct page_range range, struct snapshot *ret)
{
	struct probe_request request = request_of(fd, &caps);

	request.range = range;
	return probe_walk(&prober, &request, ret);
}

void print_difference(const struct state_map *expected, const struct state_map *got)
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

/*
 * Others may be short of memory, and then a page that was just made may be in swap: that is right,
 * as long as the kernel knows of as many swap entries.
 */
bool is_as_made(int fd, const struct state_map *expected, const struct state_map *got)
{
	uint64_t swapped = 0;

	if (state_map_difference(expected, got) == 0)
		return true;
	if (expected->first != got->first || expected->count != got->count)
		return false;
	for (uint64_t i = 0; i < got->count; i++) {
		enum page_state x = state_map_get(expected, got->first + i);
		enum page_state y = state_map_get(got, got->first + i);

		if (x == y)
			continue;
		if (x == PAGE_HOLE || (y != PAGE_SWAPPED && y != PAGE_SWAP_CACHE))
			return false;
		swapped++;
	}
	return swapped <= pages_swapped(fd);
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

void check_range(int fd, struct page_range range, const struct state_map *expected)
{
	uint64_t first = MIN(range.first, expected->count);
	uint64_t count = MIN(range.count, expected->count - first);
	struct state_map part = part_of(expected, first, count);
	struct snapshot s = {0};

	assert_int_equal(walk(fd, range, &s), 0);
	/* A swapoff by others may bring back what they have swapped out: look again. */
	for (int i = 0; i < 20 && s.count == part.count && !is_as_made(fd, &part, &s.map); i++) {
		usleep(20000);
		snapshot_done(&s);
		assert_int_equal(walk(fd, range, &s), 0);
	}
	check_snapshot(&s);
	assert_string_equal(s.probe, "walk");
	assert_int_equal(s.first, first);
	assert_int_equal(s.count, count);
	if (!is_as_made(fd, &part, &s.map)) {
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

/* Whoever changes it takes this lock: see tests/helpers/factory-system.c. */
static int take_lock(int lock)
{
	int fd = open("/run/lock/shmfactory.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, lock) == 0)
		return fd;
	perror("/run/lock/shmfactory.lock");
	return -1;
}

int walks_main(const struct CMUnitTest *tests, size_t n, int lock)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (objects_setup(NULL) < 0)
		return 99;
	r = prober_open(&prober, &caps, PROBE_WALK);
	if (r < 0) {
		printf("no walk here: %s\n", strerror(-r));
		return r == -EPERM || r == -EOPNOTSUPP || r == -ENOENT ? 77 : 1;
	}
	fd = take_lock(lock);
	if (fd < 0)
		return 1;
	r = _cmocka_run_group_tests("walk", tests, n, NULL, NULL);
	prober_done(&prober);
	return r;
}
