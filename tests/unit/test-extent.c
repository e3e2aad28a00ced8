/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>

#include "model/extent.h"

static void append(struct extent_list *list, uint64_t first, uint64_t count, enum page_state state)
{
	assert_int_equal(extent_list_append(list, first, count, state), 0);
}

static void assert_extent(const struct extent_list *list, size_t i, uint64_t first, uint64_t count,
			  enum page_state state)
{
	assert_true(i < list->n_items);
	assert_int_equal(list->items[i].first, first);
	assert_int_equal(list->items[i].count, count);
	assert_int_equal(list->items[i].state, state);
}

static void test_append_and_merge(void **state)
{
	struct extent_list list = {0};

	(void)state;
	append(&list, 10, 5, PAGE_HOLE);
	append(&list, 15, 1, PAGE_HOLE);
	append(&list, 16, 2, PAGE_SWAPPED);
	append(&list, 18, 0, PAGE_PRESENT);
	append(&list, 18, 3, PAGE_SWAPPED);
	append(&list, 21, 1, PAGE_HOLE);
	assert_int_equal(list.n_items, 3);
	assert_extent(&list, 0, 10, 6, PAGE_HOLE);
	assert_extent(&list, 1, 16, 5, PAGE_SWAPPED);
	assert_extent(&list, 2, 21, 1, PAGE_HOLE);
	extent_list_done(&list);
	assert_null(list.items);
	assert_int_equal(list.n_items, 0);
	extent_list_done(&list); /* twice is fine */
}

static void test_gaps_are_refused(void **state)
{
	struct extent_list list = {0};

	(void)state;
	append(&list, 100, 10, PAGE_PRESENT); /* an empty list takes any start */
	assert_int_equal(extent_list_append(&list, 111, 1, PAGE_PRESENT), -EINVAL);
	assert_int_equal(extent_list_append(&list, 109, 1, PAGE_HOLE), -EINVAL);
	assert_int_equal(extent_list_append(&list, 0, 1, PAGE_HOLE), -EINVAL);
	assert_int_equal(list.n_items, 1);
	assert_extent(&list, 0, 100, 10, PAGE_PRESENT);
	extent_list_done(&list);
}

static void test_clear_starts_anew(void **state)
{
	struct extent_list list = {0};

	(void)state;
	append(&list, 0, 4, PAGE_PRESENT);
	extent_list_clear(&list);
	assert_int_equal(list.n_items, 0);
	append(&list, 7, 1, PAGE_PRESENT);
	assert_extent(&list, 0, 7, 1, PAGE_PRESENT);
	extent_list_done(&list);
}

static void test_terabytes(void **state)
{
	const uint64_t pages = UINT64_C(1) << 51; /* the largest file there can be */
	struct extent_list a = {0}, b = {0};

	(void)state;
	append(&a, 0, pages, PAGE_HOLE);
	append(&b, 0, pages / 2, PAGE_HOLE);
	append(&b, pages / 2, 1, PAGE_PRESENT);
	append(&b, pages / 2 + 1, pages / 2 - 1, PAGE_HOLE);
	assert_int_equal(b.counts[PAGE_HOLE], pages - 1);
	assert_int_equal(b.counts[PAGE_PRESENT], 1);
	assert_int_equal(extent_list_difference(&a, &b), 1);
	extent_list_done(&a);
	extent_list_done(&b);
}

static void test_counts(void **state)
{
	const page_state_mask hole = PAGE_STATE_BIT(PAGE_HOLE),
			      present = PAGE_STATE_BIT(PAGE_PRESENT);
	struct extent_list list = {0};

	(void)state;
	append(&list, 0, 3, PAGE_HOLE);
	append(&list, 3, 2, PAGE_UNKNOWN);
	append(&list, 5, 4, PAGE_HOLE);
	append(&list, 9, 1, PAGE_HOLE);
	assert_int_equal(extent_list_append(&list, 99, 1, PAGE_HOLE), -EINVAL); /* not counted */
	assert_int_equal(list.counts[PAGE_HOLE], 8);
	assert_int_equal(list.counts[PAGE_UNKNOWN], 2);
	assert_int_equal(extent_list_pages(&list, hole), 8);
	assert_int_equal(extent_list_pages(&list, present), 0);
	assert_int_equal(extent_list_pages(&list, hole | PAGE_STATE_BIT(PAGE_UNKNOWN)), 10);
	assert_int_equal(extent_list_pages(&list, ~(page_state_mask)0), 10);
	assert_int_equal(extent_list_pages(&list, 0), 0);
	extent_list_clear(&list);
	assert_int_equal(extent_list_pages(&list, ~(page_state_mask)0), 0);
	extent_list_done(&list);
}

static void test_set_state(void **state)
{
	struct extent_list list = {0};

	(void)state;
	extent_list_set_state(&list, ~(page_state_mask)0, PAGE_HOLE); /* nothing to do */
	append(&list, 5, 1, PAGE_PRESENT);
	append(&list, 6, 2, PAGE_IN_CORE);
	append(&list, 8, 3, PAGE_PRESENT);
	append(&list, 11, 4, PAGE_SWAPPED);
	append(&list, 15, 5, PAGE_IN_CORE);
	extent_list_set_state(&list, PAGE_STATE_BIT(PAGE_HOLE), PAGE_UNKNOWN); /* there is none */
	assert_int_equal(list.n_items, 5);
	extent_list_set_state(&list, PAGE_STATE_BIT(PAGE_IN_CORE), PAGE_PRESENT);
	assert_int_equal(list.n_items, 3);
	assert_extent(&list, 0, 5, 6, PAGE_PRESENT);
	assert_extent(&list, 1, 11, 4, PAGE_SWAPPED);
	assert_extent(&list, 2, 15, 5, PAGE_PRESENT);
	assert_int_equal(list.counts[PAGE_PRESENT], 11);
	assert_int_equal(list.counts[PAGE_IN_CORE], 0);
	extent_list_set_state(&list, ~(page_state_mask)0, PAGE_UNKNOWN);
	assert_int_equal(list.n_items, 1);
	assert_extent(&list, 0, 5, 15, PAGE_UNKNOWN);
	append(&list, 20, 1, PAGE_UNKNOWN); /* goes on where it ended */
	assert_extent(&list, 0, 5, 16, PAGE_UNKNOWN);
	extent_list_done(&list);
}

static void test_difference_by_hand(void **state)
{
	struct extent_list empty = {0}, a = {0}, b = {0};

	(void)state;
	assert_int_equal(extent_list_difference(&empty, &empty), 0);
	append(&a, 0, 10, PAGE_PRESENT);
	assert_int_equal(extent_list_difference(&a, &a), 0);
	assert_int_equal(extent_list_difference(&a, &empty), 10);
	assert_int_equal(extent_list_difference(&empty, &a), 10);
	append(&b, 0, 4, PAGE_PRESENT); /* truncated */
	assert_int_equal(extent_list_difference(&a, &b), 6);
	append(&b, 4, 2, PAGE_SWAPPED);
	assert_int_equal(extent_list_difference(&a, &b), 6);
	append(&b, 6, 14, PAGE_PRESENT); /* grown */
	assert_int_equal(extent_list_difference(&a, &b), 12);
	assert_int_equal(extent_list_difference(&b, &a), 12);
	extent_list_done(&a);
	extent_list_done(&b);
}

#define PAGES 200

/* The naive reference: one state a page, -1 where the list has none. */
struct pages {
	int state[PAGES];
};

/* A list of random runs over [first, first + n), and the same page by page. */
static void random_list(struct random *random, uint64_t first, uint64_t n, struct extent_list *list,
			struct pages *pages)
{
	uint64_t at = first, end = first + n;

	for (int i = 0; i < PAGES; i++)
		pages->state[i] = -1;
	while (at < end) {
		uint64_t count = MIN(1 + random_below(random, 20), end - at);
		enum page_state state = (enum page_state)random_below(random, 3);

		append(list, at, count, state);
		for (uint64_t i = at; i < at + count; i++)
			pages->state[i] = (int)state;
		at += count;
	}
}

static void assert_same(const struct extent_list *list, const struct pages *pages)
{
	uint64_t naive[PAGE_STATE_MAX] = {0};

	for (int i = 0; i < PAGES; i++)
		if (pages->state[i] >= 0)
			naive[pages->state[i]]++;
	assert_memory_equal(list->counts, naive, sizeof(naive));
	for (size_t i = 0; i < list->n_items; i++) {
		const struct extent *e = &list->items[i];

		assert_true(e->count > 0);
		for (uint64_t k = e->first; k < e->first + e->count; k++)
			assert_int_equal(pages->state[k], e->state);
		if (i > 0) {
			assert_int_equal(e[-1].first + e[-1].count, e->first);
			assert_true(e[-1].state != e->state);
		}
	}
}

static void set_random_state(struct random *random, struct extent_list *list, struct pages *pages)
{
	page_state_mask mask = (page_state_mask)random_below(random, 8);
	enum page_state to = (enum page_state)random_below(random, 4);

	extent_list_set_state(list, mask, to);
	for (int i = 0; i < PAGES; i++)
		if (pages->state[i] >= 0 && mask & PAGE_STATE_BIT(pages->state[i]))
			pages->state[i] = (int)to;
	assert_same(list, pages);
}

static void test_random_lists(void **state)
{
	struct random random = {.state = 2};

	(void)state;
	for (int i = 0; i < 2000; i++) {
		/* As the probe has it: both start at the same page, or one is empty. */
		uint64_t first = random_below(&random, 50);
		struct extent_list a = {0}, b = {0};
		struct pages x, y;
		uint64_t naive = 0;

		random_list(&random, first, random_below(&random, 100), &a, &x);
		random_list(&random, first, random_below(&random, 100), &b, &y);
		assert_same(&a, &x);
		assert_same(&b, &y);
		for (int k = 0; k < PAGES; k++)
			naive += x.state[k] != y.state[k];
		assert_int_equal(extent_list_difference(&a, &b), naive);
		assert_int_equal(extent_list_difference(&b, &a), naive);
		set_random_state(&random, &a, &x);
		extent_list_done(&a);
		extent_list_done(&b);
	}
}

/* "A page that only one of them covers differs", wherever the two start. */
static void test_difference_of_shifted_lists(void **state)
{
	struct extent_list a = {0}, b = {0};

	(void)state;
	append(&a, 0, 10, PAGE_PRESENT);
	append(&b, 5, 10, PAGE_PRESENT);
	/* Pages 0 to 4 and 10 to 14 differ. */
	assert_int_equal(extent_list_difference(&a, &b), 10);
	extent_list_done(&a);
	extent_list_done(&b);

	append(&a, 0, 10, PAGE_PRESENT);
	append(&b, 20, 10, PAGE_PRESENT);
	assert_int_equal(extent_list_difference(&a, &b), 20);
	extent_list_done(&a);
	extent_list_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_and_merge),
		cmocka_unit_test(test_gaps_are_refused),
		cmocka_unit_test(test_clear_starts_anew),
		cmocka_unit_test(test_terabytes),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_set_state),
		cmocka_unit_test(test_difference_by_hand),
		cmocka_unit_test(test_random_lists),
		cmocka_unit_test(test_difference_of_shifted_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
