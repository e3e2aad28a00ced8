/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "track/candidates.h"
#include "util/util.h"

#define PAGES 700

/* The same, page by page. */
struct naive {
	uint32_t last[PAGES];
	uint32_t times[PAGES];
	uint32_t forgotten;
};

static void note_naive(struct naive *n, struct page_range range, uint32_t at, uint32_t counted)
{
	for (uint64_t p = range.first; p < range.first + range.count; p++) {
		if (counted != REFAULTS_SUSPECTED)
			n->times[p] += counted == 0 || n->last[p] < counted;
		n->last[p] = at;
	}
}

static void compare_extents(const struct refaults *r, const struct naive *n, uint32_t after)
{
	struct refault_extent e;
	uint64_t page = 0, total = 0;

	while (refaults_next(r, page, after, &e)) {
		assert_true(e.first >= page && e.count > 0 && e.first + e.count <= PAGES);
		for (; page < e.first; page++)
			assert_true(n->last[page] <= after);
		for (; page < e.first + e.count; page++) {
			assert_int_equal(e.last, n->last[page]);
			assert_int_equal(e.times, n->times[page]);
			assert_true(e.last > after);
		}
		total += e.count;
		/* the longest run */
		if (page < PAGES)
			assert_true(n->last[page] != e.last || n->times[page] != e.times);
	}
	for (; page < PAGES; page++)
		assert_true(n->last[page] <= after);
	assert_int_equal(refaults_pages(r, after), total);
}

/* From any page on, not only from those where an extent begins. */
static void compare_from(const struct refaults *r, const struct naive *n, uint64_t page)
{
	struct refault_extent e;
	uint64_t p = page;

	while (p < PAGES && n->last[p] == 0)
		p++;
	assert_true(refaults_next(r, page, 0, &e) == (p < PAGES));
	if (p < PAGES)
		assert_int_equal(e.first, p);
}

static void forget_naive(struct naive *n, uint32_t forgotten)
{
	for (int p = 0; p < PAGES; p++)
		if (n->last[p] <= forgotten)
			n->last[p] = n->times[p] = 0;
}

static size_t make_ranges(struct page_range *ranges, size_t max)
{
	uint64_t page = (uint64_t)(rand() % 200);
	size_t n = 0;

	while (n < max && page < PAGES) {
		uint64_t count = 1 + (uint64_t)(rand() % (rand() % 4 == 0 ? 200 : 5));

		ranges[n++] = (struct page_range){page, MIN(count, PAGES - page)};
		page += count + (uint64_t)(rand() % 90);
	}
	return n;
}

static void test_random(void **state)
{
	struct refaults r = {0};
	struct naive n = {0};

	(void)state;
	srand(7);
	for (uint32_t step = 1; step < 3000; step++) {
		struct page_range ranges[12];
		size_t n_ranges = make_ranges(ranges, (size_t)(1 + rand() % 12));
		uint32_t at = step / 3 + 1 > r.forgotten ? step / 3 + 1 : r.forgotten + 1;
		uint32_t back = (uint32_t)(rand() % 5),
			 counted = rand() % 2 || back >= at ? 0 : at - back;

		if (rand() % 8 == 0)
			counted = REFAULTS_SUSPECTED;
		assert_int_equal(refaults_note(&r, ranges, n_ranges, at, counted), 0);
		for (size_t i = 0; i < n_ranges; i++)
			note_naive(&n, ranges[i], at, counted);
		if (rand() % 20 == 0) {
			refaults_shrink(&r, (size_t)(rand() % 40) * sizeof(*r.marks));
			forget_naive(&n, r.forgotten);
		}
		compare_extents(&r, &n, 0);
		compare_extents(&r, &n, at - MIN(at, back));
		compare_from(&r, &n, (uint64_t)(rand() % PAGES));
	}
	refaults_done(&r);
}

static void fill_random(struct snapshot *s, uint8_t *states)
{
	for (uint64_t page = 0; page < PAGES;) {
		uint64_t run = 1 + (uint64_t)(rand() % (rand() % 3 ? 5 : 150));
		enum page_state state =
			rand() % 2 ? PAGE_PRESENT : (enum page_state)(rand() % PAGE_STATE_MAX);

		run = MIN(run, PAGES - page);
		memset(states + page, (int)state, run);
		assert_int_equal(state_map_append(&s->map, run, state), 0);
		page += run;
	}
	s->page_size = 4096;
	s->size = PAGES * s->page_size;
	s->count = PAGES;
}

/* Present, and not back after that time; from any page on. */
static void compare_candidates(const struct snapshot *s, const uint8_t *states,
			       const struct refaults *r, const struct naive *n, uint32_t after,
			       uint64_t from)
{
	struct candidates c = candidates_seek(s, r, after, from);
	struct page_range range;
	uint64_t page = from;

	while (candidates_next(&c, &range)) {
		assert_true(range.first >= page && range.count > 0);
		for (; page < range.first; page++)
			assert_true(states[page] != PAGE_PRESENT || n->last[page] > after);
		for (; page < range.first + range.count; page++)
			assert_true(states[page] == PAGE_PRESENT && n->last[page] <= after);
	}
	for (; page < PAGES; page++)
		assert_true(states[page] != PAGE_PRESENT || n->last[page] > after);
}

static void test_candidates(void **state)
{
	(void)state;
	srand(8);
	for (int i = 0; i < 2000; i++) {
		struct naive n = {0}, never = {0};
		struct refaults r = {0};
		struct snapshot s = {0};
		uint8_t states[PAGES];

		fill_random(&s, states);
		for (uint32_t at = 1; at < 6; at++) {
			struct page_range ranges[12];
			size_t n_ranges = make_ranges(ranges, (size_t)(rand() % 12));

			assert_int_equal(refaults_note(&r, ranges, n_ranges, at, 0), 0);
			for (size_t k = 0; k < n_ranges; k++)
				note_naive(&n, ranges[k], at, 0);
		}
		compare_candidates(&s, states, &r, &n, (uint32_t)(rand() % 6), 0);
		compare_candidates(&s, states, &r, &n, (uint32_t)(rand() % 6),
				   (uint64_t)(rand() % PAGES));
		compare_candidates(&s, states, NULL, &never, 0, 0);
		assert_int_equal(candidates_count(&s, NULL, 0), s.map.counts[PAGE_PRESENT]);
		snapshot_done(&s);
		refaults_done(&r);
	}
}

static void test_empty(void **state)
{
	struct refaults r = {0}, copy;
	struct refault_extent e;

	(void)state;
	assert_false(refaults_next(&r, 0, 0, &e));
	assert_int_equal(refaults_pages(&r, 0), 0);
	assert_int_equal(refaults_copy(&r, &copy), 0);
	assert_false(refaults_next(&copy, 5, 0, &e));
	refaults_shrink(&r, 0);
	refaults_done(&copy);
	refaults_done(&r);
	assert_int_equal(refault_time(0), 0);
	assert_int_equal(refault_time(1), 1); /* never too early */
	assert_int_equal(refault_time(100000000), 1);
	assert_int_equal(refault_time(100000001), 2);
}

/* Far up in an object without end, and in a long stretch: memory is for what came back. */
static void test_memory(void **state)
{
	struct page_range far = {UINT64_C(1) << 38, 3}, gib = {0, 1 << 18};
	struct refaults r = {0};
	struct refault_extent e;

	(void)state;
	assert_int_equal(refaults_note(&r, &far, 1, 4, 0), 0);
	assert_true(refaults_bytes(&r) < 1024);
	assert_true(refaults_next(&r, 0, 0, &e));
	assert_int_equal(e.first, far.first);
	assert_int_equal(e.count, 3);
	assert_int_equal(refaults_note(&r, &gib, 1, 5, 0), 0);
	refaults_shrink(&r, SIZE_MAX);
	/* 24 bytes for 64 pages */
	assert_true(refaults_bytes(&r) <= ((1 << 18) / 64 + 3) * 24);
	assert_true(refaults_next(&r, 0, 0, &e));
	assert_int_equal(e.count, gib.count);
	/* the oldest goes first, and that it does is known */
	assert_int_equal(r.forgotten, 0);
	refaults_shrink(&r, (1 << 18) / 64 * 24);
	assert_int_equal(r.forgotten, 4);
	assert_int_equal(refaults_pages(&r, 0), gib.count);
	refaults_shrink(&r, 100);
	assert_int_equal(r.forgotten, 5);
	assert_int_equal(refaults_pages(&r, 0), 0);
	refaults_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
