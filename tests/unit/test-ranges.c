/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "util/ranges.h"
#include "util/util.h"

#define PAGES 300

/* In any order, overlapping or not: the same pages, in order, apart from each other. */
static void test_random(void **state)
{
	(void)state;
	srand(9);
	for (int i = 0; i < 2000; i++) {
		bool expected[PAGES + 1] = {0}, got[PAGES + 1] = {0};
		struct page_ranges r = {0}, more = {0};
		int n = rand() % 30;

		for (int k = 0; k < n; k++) {
			uint64_t first = (uint64_t)(rand() % PAGES);
			uint64_t count = (uint64_t)(rand() % (int)(PAGES - first)) / 8 + 1;

			assert_int_equal(page_ranges_add(k % 2 ? &r : &more, first, count), 0);
			memset(expected + first, true, count);
		}
		assert_int_equal(page_ranges_move(&r, &more), 0);
		assert_int_equal(more.n_items, 0);
		page_ranges_sort(&r);
		for (size_t k = 0; k < r.n_items; k++) {
			assert_true(r.items[k].count > 0);
			if (k > 0)
				assert_true(r.items[k].first >
					    r.items[k - 1].first + r.items[k - 1].count);
			memset(got + r.items[k].first, true, r.items[k].count);
		}
		assert_memory_equal(expected, got, sizeof(got));
		page_ranges_done(&r);
	}
}

/* An event may say: from here to the end. */
static void test_to_the_end(void **state)
{
	struct page_ranges r = {0};

	(void)state;
	assert_int_equal(page_ranges_add(&r, 100, UINT64_MAX), 0);
	assert_int_equal(page_ranges_add(&r, 50, 60), 0);
	assert_int_equal(page_ranges_add(&r, 1, 2), 0);
	page_ranges_sort(&r);
	assert_int_equal(r.n_items, 2);
	assert_int_equal(r.items[1].first, 50);
	assert_true(r.items[1].first + r.items[1].count == UINT64_MAX);
	page_ranges_done(&r);
	page_ranges_sort(&r);
}

/* Parts of what comes in order, against page by page. */
static void test_cut(void **state)
{
	(void)state;
	srand(10);
	for (int i = 0; i < 2000; i++) {
		bool in[PAGES + 1] = {0}, asked[PAGES + 1] = {0}, got[PAGES + 1] = {0};
		struct page_ranges r = {0};
		size_t at = 0;

		for (uint64_t page = (uint64_t)(rand() % 20); page < PAGES; page++) {
			uint64_t count = (uint64_t)(rand() % 20) + 1;

			count = MIN(count, PAGES - page);
			assert_int_equal(page_ranges_add(&r, page, count), 0);
			memset(in + page, true, count);
			page += count + (uint64_t)(rand() % 20);
		}
		for (uint64_t page = (uint64_t)(rand() % 30); page < PAGES;) {
			struct page_range of = {page, (uint64_t)(rand() % 40)}, part;

			of.count = MIN(of.count, PAGES - page);
			memset(asked + page, true, of.count);
			page += of.count + (uint64_t)(rand() % 3);
			while (page_ranges_cut(&r, &at, &of, &part)) {
				assert_true(part.count > 0);
				for (uint64_t k = 0; k < part.count; k++)
					assert_false(got[part.first + k]);
				memset(got + part.first, true, part.count);
			}
		}
		for (int k = 0; k < PAGES; k++)
			assert_int_equal(got[k], in[k] && asked[k]);
		page_ranges_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_to_the_end),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
