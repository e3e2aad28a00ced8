/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "model/state.h"

/* What stands in the man page, in scripts and in JSON: these names never change. */
static const char *const names[] = {
	"hole", "allocated", "present", "swap_cache", "swapped", "poisoned", "in_core", "unknown",
};

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(names), PAGE_STATE_MAX);
	for (int i = 0; i < PAGE_STATE_MAX; i++) {
		assert_string_equal(page_state_to_string((enum page_state)i), names[i]);
		assert_int_equal(page_state_from_string(names[i]), i);
	}
	assert_int_equal(PAGE_HOLE, 0);
	assert_int_equal(PAGE_SWAPPED, 4);
}

static void test_bad_names(void **state)
{
	static const char *const bad[] = {"",         "Hole",         "swap",
					  "swappedx", " swapped",     "swapped ",
					  "hole,",    "hole,present", "swap-cache"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(page_state_from_string(bad[i]), -EINVAL);
}

static void test_masks(void **state)
{
	page_state_mask mask = 0;
	const char *wrong = NULL;

	(void)state;
	assert_int_equal(page_state_mask_parse("swapped", &mask, &wrong), 0);
	assert_int_equal(mask, PAGE_STATE_BIT(PAGE_SWAPPED));
	assert_int_equal(page_state_mask_parse("swapped,swap_cache,hole", &mask, &wrong), 0);
	assert_int_equal(mask, PAGE_STATE_BIT(PAGE_SWAPPED) | PAGE_STATE_BIT(PAGE_SWAP_CACHE) |
				       PAGE_STATE_BIT(PAGE_HOLE));
	assert_int_equal(page_state_mask_parse("hole,hole", &mask, &wrong), 0);
	assert_int_equal(mask, PAGE_STATE_BIT(PAGE_HOLE));
	assert_int_equal(page_state_mask_parse("hole,allocated,present,swap_cache,swapped,poisoned,"
					       "in_core,unknown",
					       &mask, &wrong),
			 0);
	assert_int_equal(mask, (PAGE_STATE_BIT(PAGE_STATE_MAX)) - 1);
	assert_null(wrong);
}

static void test_bad_masks(void **state)
{
	static const struct {
		const char *text;
		const char *wrong; /* what ret_bad points at */
	} bad[] = {
		{"", ""},
		{"nil", "nil"},
		{"hole,nil,present", "nil,present"},
		{"hole,", ""},
		{",hole", ",hole"},
		{"hole,,present", ",present"},
		{"hole present", "hole present"},
		{"hol", "hol"},
		{"holes", "holes"},
		{"SWAPPED", "SWAPPED"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		page_state_mask mask = 0x5555;
		const char *wrong = NULL;

		assert_int_equal(page_state_mask_parse(bad[i].text, &mask, &wrong), -EINVAL);
		assert_string_equal(wrong, bad[i].wrong);
		assert_int_equal(mask, 0x5555);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_bad_masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
