/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the service writes into a map, the library reads out of it: page by page, extent by extent.
 */

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/shmstate/shmstate.h"
#include "model/snapshot.h"
#include "serve/map-file.h"
#include "util/util.h"

static struct random source = {1};

static uint64_t below(uint64_t n)
{
	return random_below(&source, n);
}

/* Runs of random length: long ones in one state, short ones that alternate. */
static void make_map(struct state_map *map, uint64_t first, uint64_t count)
{
	*map = (struct state_map){.first = first};
	while (map->count < count) {
		uint64_t n = 1 + below(below(4) ? 5 : 400);

		assert_int_equal(state_map_append(map, MIN(n, count - map->count),
						  (enum page_state)below(PAGE_STATE_MAX)),
				 0);
	}
}

static void check_extents(const struct shmstate_map *read, const struct state_map *written)
{
	struct state_cursor cursor = state_map_seek(written, written->first);
	struct shmstate_extent got;
	struct extent expected;
	uint64_t page = 0;

	while (state_cursor_next(&cursor, &expected)) {
		assert_true(shmstate_map_next(read, &page, &got) > 0);
		assert_int_equal(got.first, expected.first);
		assert_int_equal(got.count, expected.count);
		assert_int_equal(got.state, (uint32_t)expected.state);
	}
	assert_int_equal(shmstate_map_next(read, &page, &got), 0);
}

static void check_map(struct result *r)
{
	const struct snapshot *s = &r->snapshot;
	bool incomplete = s->counts[PAGE_UNKNOWN] > 0;
	int fd = map_file_make(r, UINT32_MAX), seals;
	struct shmstate_map *map;

	assert_true(fd >= 0);
	seals = fcntl(fd, F_GET_SEALS);
	assert_int_equal(seals & (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(shmstate_map_open(fd, &map), 0);
	assert_int_equal(shmstate_map_first(map), s->first);
	assert_int_equal(shmstate_map_count(map), s->count);
	assert_int_equal(shmstate_map_page_size(map), s->page_size);
	assert_int_equal(shmstate_map_object_size(map), s->size);
	assert_int_equal(shmstate_map_is_stable(map), s->stable);
	assert_int_equal(shmstate_map_is_incomplete(map), incomplete);
	assert_int_equal(shmstate_map_moved(map), s->moved);
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		assert_int_equal(shmstate_map_pages(map, i), s->counts[i]);
	check_extents(map, &s->map);
	for (uint64_t page = s->first; page < s->first + s->count; page++)
		assert_int_equal(shmstate_map_get(map, page), (int)state_map_get(&s->map, page));
	assert_true(shmstate_map_get(map, s->first + s->count) < 0);
	shmstate_map_free(map);
}

static void check_random(uint64_t first, uint64_t count)
{
	struct result r = {0};
	struct snapshot *s = &r.snapshot;

	*s = (struct snapshot){
		.page_size = 4096,
		.size = (first + count + below(10)) * 4096,
		.first = first,
		.count = count,
		.stable = below(2),
		.moved = below(100),
		.settled = below(2),
		.generation = below(1000),
	};
	make_map(&s->map, first, count);
	memcpy(s->counts, s->map.counts, sizeof(s->counts));
	check_map(&r);
	snapshot_done(s);
}

static void test_nothing(void **state)
{
	(void)state;
	check_random(0, 0);
	check_random(77, 0);
}

/* Where blocks begin and end, on both sides. */
static void test_borders(void **state)
{
	static const uint64_t places[] = {0, 1, 63, 64, 65, 127, 128};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t k = 0; k < ARRAY_SIZE(places); k++)
			for (int times = 0; times < 10; times++)
				check_random(places[i], places[k]);
}

static void test_random(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++)
		check_random(below(1000), below(5000));
}

/* A sparse object of 2^39 pages costs nothing. */
static void test_large(void **state)
{
	struct result r = {.snapshot = {.page_size = 4096, .size = UINT64_C(1) << 51}};
	struct snapshot *s = &r.snapshot;
	struct shmstate_map *map;
	struct stat st;
	int fd;

	(void)state;
	s->count = s->size / 4096;
	assert_int_equal(state_map_append(&s->map, 1000, PAGE_HOLE), 0);
	assert_int_equal(state_map_append(&s->map, 1, PAGE_SWAPPED), 0);
	assert_int_equal(state_map_append(&s->map, s->count - 1001, PAGE_HOLE), 0);
	memcpy(s->counts, s->map.counts, sizeof(s->counts));
	fd = map_file_make(&r, UINT32_MAX);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size < 1000);
	assert_int_equal(shmstate_map_open(fd, &map), 0);
	assert_int_equal(shmstate_map_get(map, 999), SHMSTATE_HOLE);
	assert_int_equal(shmstate_map_get(map, 1000), SHMSTATE_SWAPPED);
	assert_int_equal(shmstate_map_get(map, s->count - 1), SHMSTATE_HOLE);
	shmstate_map_free(map);
	snapshot_done(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_borders),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests_name("map-file", tests, NULL, NULL);
}
