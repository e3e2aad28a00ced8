/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "model/snapshot.h"

#define BIT(state) PAGE_STATE_BIT(PAGE_##state)
#define ALL ((page_state_mask)~0)

static void test_size_to_pages(void **state)
{
	(void)state;
	assert_int_equal(size_to_pages(0, 4096), 0);
	assert_int_equal(size_to_pages(1, 4096), 1);
	assert_int_equal(size_to_pages(4095, 4096), 1);
	assert_int_equal(size_to_pages(4096, 4096), 1);
	assert_int_equal(size_to_pages(4097, 4096), 2);
	assert_int_equal(size_to_pages(UINT64_C(1) << 41, 4096), UINT64_C(1) << 29);
	assert_int_equal(size_to_pages(UINT64_MAX, 4096), UINT64_C(1) << 52); /* no wrap */
	assert_int_equal(size_to_pages(65537, 65536), 2);
}

static void test_is_incomplete(void **state)
{
	static const struct {
		uint64_t unknown, in_core;
		page_state_mask asked;
		bool incomplete;
	} cases[] = {
		{0, 0, ALL, false},
		{0, 0, BIT(PRESENT), false},
		/* An unknown page may be in any state. */
		{1, 0, ALL, true},
		{1, 0, BIT(SWAPPED), true},
		{1, 0, BIT(UNKNOWN), true},
		/* A page in core is present or swap_cache: who asks for both, or neither, is
		   served. */
		{0, 1, ALL, false},
		{0, 1, BIT(PRESENT), true},
		{0, 1, BIT(SWAP_CACHE), true},
		{0, 1, BIT(PRESENT) | BIT(SWAP_CACHE), false},
		{0, 1, BIT(SWAPPED), false},
		{0, 1, BIT(IN_CORE), false},
		{0, 1, BIT(SWAPPED) | BIT(SWAP_CACHE), true},
		{0, 1, BIT(HOLE) | BIT(PRESENT), true},
		{1, 1, BIT(SWAPPED), true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct snapshot s = {0};

		s.counts[PAGE_PRESENT] = s.counts[PAGE_SWAPPED] = 100;
		s.counts[PAGE_UNKNOWN] = cases[i].unknown;
		s.counts[PAGE_IN_CORE] = cases[i].in_core;
		if (snapshot_is_incomplete(&s, cases[i].asked) != cases[i].incomplete)
			fail_msg("case %zu", i);
	}
}

static void test_every_bit_has_words(void **state)
{
	(void)state;
	for (int bit = 1; bit <= SNAPSHOT_KEPT_MOVING; bit <<= 1) {
		const char *text = snapshot_reason_to_string((enum snapshot_reason)bit);

		assert_string_not_equal(text, "unknown reason");
		assert_null(strchr(text, '\n'));
		for (int other = 1; other < bit; other <<= 1)
			assert_string_not_equal(
				text, snapshot_reason_to_string((enum snapshot_reason)other));
	}
	assert_string_equal(probe_source_to_string(SOURCE_SEEK), "seek");
	assert_string_equal(probe_source_to_string(SOURCE_MINCORE), "mincore");
	assert_string_equal(probe_source_to_string(SOURCE_CACHESTAT), "cachestat");
	assert_string_equal(probe_source_to_string(SOURCE_PAGEMAP), "pagemap");
	assert_string_equal(probe_source_to_string(SOURCE_ACCOUNTING), "accounting");
}

static void test_done(void **state)
{
	struct snapshot s = {.count = 3, .stable = true}, empty = {0};

	(void)state;
	assert_int_equal(state_map_append(&s.map, 3, PAGE_HOLE), 0);
	snapshot_done(&s);
	assert_memory_equal(&s, &empty, sizeof(s));
	snapshot_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_to_pages),
		cmocka_unit_test(test_is_incomplete),
		cmocka_unit_test(test_every_bit_has_words),
		cmocka_unit_test(test_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
