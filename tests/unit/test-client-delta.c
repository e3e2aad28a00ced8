/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the service writes of changes, as libshmstate reads it; and what no service wrote. */

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/shmstate/shmstate.h"
#include "model/delta.h"
#include "serve/delta-file.h"

#define PAGE UINT64_C(4096)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static struct random dice = {66};

static uint64_t below(uint64_t n)
{
	return random_below(&dice, n);
}

/* Runs of states, of which one in `changed` is another than in the old one. */
static struct snapshot make_snapshot(uint64_t pages, const struct snapshot *old, uint64_t changed)
{
	struct snapshot s = {.page_size = PAGE, .size = pages * PAGE, .count = pages};

	while (s.map.count < pages) {
		uint64_t at = s.map.count, run = 1 + below(below(3) ? 3 : 300);
		enum page_state state = (enum page_state)below(PAGE_STATE_MAX);

		if (old && at < old->count && below(changed) > 0)
			state = state_map_get(&old->map, at);
		assert_int_equal(state_map_append(&s.map, MIN(run, pages - at), state), 0);
	}
	memcpy(s.counts, s.map.counts, sizeof(s.counts));
	return s;
}

static struct generation *make_generation(struct snapshot *s, uint64_t number)
{
	struct generation *g = generation_new(s, 0, 0);

	assert_non_null(g);
	g->number = number;
	return g;
}

static void check_changes(const struct shmstate_delta *delta, const struct result *r,
			  page_state_mask states)
{
	struct delta d = delta_seek(&r->since->snapshot, &r->snapshot, 0);
	const struct shmstate_delta_header *h = shmstate_delta_header(delta);
	struct shmstate_place place = {0, 0};
	struct shmstate_change got;
	struct change expected;
	uint64_t n = 0, pages = 0;

	while (delta_next(&d, &expected)) {
		if (!change_concerns(&expected, states))
			continue;
		assert_int_equal(shmstate_delta_next(delta, &place, &got), 1);
		assert_int_equal(got.first, expected.first);
		assert_int_equal(got.count, expected.count);
		assert_int_equal(got.from, expected.from);
		assert_int_equal(got.to, expected.to);
		n++;
		pages += got.count;
	}
	assert_int_equal(shmstate_delta_next(delta, &place, &got), 0);
	assert_int_equal(h->n_records, n);
	assert_int_equal(h->changed, pages);
	assert_int_equal(h->since, r->since->number);
	assert_int_equal(h->generation, r->snapshot.generation);
	assert_int_equal(h->old_object_size, r->since->snapshot.size);
	assert_int_equal(h->object_size, r->snapshot.size);
	assert_memory_equal(h->counts, r->snapshot.counts, sizeof(h->counts));
}

/* Returns the descriptor, for the caller to close. */
static int write_and_read(uint64_t old_pages, uint64_t pages, uint64_t changed)
{
	struct snapshot old = make_snapshot(old_pages, NULL, 1);
	struct result r = {.since = make_generation(&old, 77)};
	page_state_mask states = below(2) ? UINT32_MAX : 1u << below(PAGE_STATE_MAX);
	struct shmstate_delta *delta;
	int fd;

	r.snapshot = make_snapshot(pages, &r.since->snapshot, changed);
	r.snapshot.generation = 78;
	r.snapshot.settled = below(2);
	fd = delta_file_make(&r, (struct page_range){.count = UINT64_MAX}, states);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & SEALS, SEALS);
	assert_int_equal(shmstate_delta_open(fd, &delta), 0);
	assert_int_equal(shmstate_delta_header(delta)->flags & SHMSTATE_MAP_SETTLED,
			 r.snapshot.settled ? SHMSTATE_MAP_SETTLED : 0);
	check_changes(delta, &r, states);
	shmstate_delta_free(delta);
	generation_unref(r.since);
	snapshot_done(&r.snapshot);
	return fd;
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int i = 0; i < rounds(1000); i++) {
		uint64_t pages = below(3000), other = below(2) ? pages : below(3000);

		close(write_and_read(pages, other, 1 + below(30)));
	}
}

/* Far apart and long: numbers of many bytes. */
static void test_large(void **state)
{
	uint64_t pages = UINT64_C(1) << 39;
	struct snapshot old = {.page_size = PAGE, .size = pages * PAGE, .count = pages};
	struct shmstate_place place = {0, 0};
	struct shmstate_change c;
	struct shmstate_delta *delta;
	struct result r = {0};
	struct stat st;
	int fd;

	(void)state;
	r.snapshot = old;
	assert_int_equal(state_map_append(&old.map, pages, PAGE_HOLE), 0);
	r.since = make_generation(&old, 1);
	assert_int_equal(state_map_append(&r.snapshot.map, pages / 2, PAGE_HOLE), 0);
	assert_int_equal(state_map_append(&r.snapshot.map, pages / 2, PAGE_SWAPPED), 0);
	memcpy(r.snapshot.counts, r.snapshot.map.counts, sizeof(r.snapshot.counts));
	fd = delta_file_make(&r, (struct page_range){.count = UINT64_MAX}, UINT32_MAX);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size < 400);
	assert_int_equal(shmstate_delta_open(fd, &delta), 0);
	assert_int_equal(shmstate_delta_next(delta, &place, &c), 1);
	assert_int_equal(c.first, pages / 2);
	assert_int_equal(c.count, pages / 2);
	assert_int_equal(shmstate_delta_next(delta, &place, &c), 0);
	shmstate_delta_free(delta);
	close(fd);
	generation_unref(r.since);
	snapshot_done(&r.snapshot);
}

static int memory_file(const void *bytes, size_t n, int seals)
{
	int fd = memfd_create("delta", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Whatever stands there, reading it ends, and stays within the object. */
static void try_to_read(const unsigned char *bytes, size_t n)
{
	int fd = memory_file(bytes, n, SEALS);
	struct shmstate_place place = {0, 0};
	struct shmstate_delta *delta = NULL;
	struct shmstate_change c;
	int r = shmstate_delta_open(fd, &delta);

	assert_true(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	assert_true((r == 0) == (delta != NULL));
	while (delta && shmstate_delta_next(delta, &place, &c)) {
		assert_true(c.count > 0 && c.first + c.count <= UINT64_C(1) << 40);
		assert_true(c.from >= SHMSTATE_BEYOND && c.from < SHMSTATE_STATES);
		assert_true(c.to >= SHMSTATE_BEYOND && c.to < SHMSTATE_STATES);
	}
	shmstate_delta_free(delta);
	close(fd);
}

static void test_altered(void **state)
{
	static unsigned char bytes[1 << 16], copy[1 << 16];

	(void)state;
	for (int i = 0; i < rounds(100); i++) {
		int fd = write_and_read(below(1000), below(1000), 1 + below(30));
		ssize_t n = pread(fd, bytes, sizeof(bytes), 0);

		close(fd);
		assert_true(n > 0 && n < (ssize_t)sizeof(bytes));
		for (int k = 0; k < 30; k++) {
			memcpy(copy, bytes, (size_t)n);
			for (uint64_t m = 1 + below(3); m > 0; m--)
				copy[below((uint64_t)n)] = (unsigned char)below(256);
			try_to_read(copy, below(3) ? (size_t)n : (size_t)below((uint64_t)n));
		}
	}
}

static void test_refused(void **state)
{
	unsigned char bytes[4096];
	struct shmstate_delta *delta = NULL;
	int fd = write_and_read(100, 200, 3), other;
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);

	(void)state;
	close(fd);
	assert_true(n > 0 && n < (ssize_t)sizeof(bytes));
	assert_int_equal(shmstate_delta_open(-1, &delta), -EBADF);
	fd = memory_file(bytes, (size_t)n, SEALS);
	assert_int_equal(shmstate_delta_open(fd, NULL), -EINVAL);
	close(fd);
	/* may still change */
	other = memory_file(bytes, (size_t)n, F_SEAL_GROW);
	assert_int_equal(shmstate_delta_open(other, &delta), -EBADMSG);
	close(other);
	bytes[8]++;
	other = memory_file(bytes, (size_t)n, SEALS);
	assert_int_equal(shmstate_delta_open(other, &delta), -EPROTONOSUPPORT);
	close(other);
	assert_null(shmstate_delta_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("client-delta", tests, NULL, NULL);
}
