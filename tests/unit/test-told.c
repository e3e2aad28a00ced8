/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes on being told, as far as it is pure: what moved, when to look again, who is told what.
 */
#include <errno.h>
#include <string.h>

#include "serve/answer-inside.h"
#include "serve/standing.h"
#include "unit.h"
#include "track/flows.h"
#include "util/util.h"

#define PAGE UINT64_C(4096)

/* A snapshot whose pages are in these states: h, p, c (swap cache), s. */
static struct snapshot look(const char *states)
{
	struct snapshot s = {
		.page_size = PAGE, .size = strlen(states) * PAGE, .count = strlen(states)};

	for (uint64_t i = 0; i < s.count; i++) {
		enum page_state state = states[i] == 'h'   ? PAGE_HOLE
					: states[i] == 'p' ? PAGE_PRESENT
					: states[i] == 'c' ? PAGE_SWAP_CACHE
							   : PAGE_SWAPPED;

		assert_int_equal(state_map_append(&s.map, 1, state), 0);
	}
	return s;
}

static void check_moves(const char *old, const char *new, uint64_t out, uint64_t in)
{
	struct snapshot a = look(old), b = look(new);
	struct moves moves = moves_between(&a, &b);

	assert_int_equal(moves.out, out);
	assert_int_equal(moves.in, in);
	snapshot_done(&a);
	snapshot_done(&b);
}

static void test_moves(void **state)
{
	(void)state;
	check_moves("ppppss", "ppppss", 0, 0);
	check_moves("pppp", "ssch", 3, 0);
	check_moves("sssh", "pcsp", 0, 2);
	/* In the swap cache it has a place in the swap already, and is in RAM still. */
	check_moves("cccc", "spsp", 0, 0);
	/* What is new or gone has not moved. */
	check_moves("ps", "pshsp", 0, 0);
	check_moves("psss", "p", 0, 0);
}

static void test_interval(void **state)
{
	(void)state;
	assert_int_equal(standing_interval(0, TOLD_INTERVAL), TOLD_INTERVAL);
	assert_int_equal(standing_interval(1000000, TOLD_INTERVAL), TOLD_INTERVAL);
	/* A look of 100 ms: one in 5 s is 2% of a processor. */
	assert_int_equal(standing_interval(100000000, TOLD_INTERVAL), UINT64_C(5000000000));
}

/* Is there nothing to be told of what came after, to who asked for these states? */
static bool is_silent(const char *old, const char *new, uint32_t states)
{
	struct question q = {.method = METHOD_SUBSCRIBE, .fd = -1, .states = states};
	struct snapshot a = look(old), b = look(new);
	struct generation *before = generation_new(&a, 1, 2), *after = generation_new(&b, 3, 4);
	struct told told = {.generation = before};
	struct result *result = result_new();
	struct answer answer;
	bool silent;

	assert_non_null(result);
	result->generation = after;
	result->snapshot = after->snapshot;
	answer_init(&answer, &q, result, 1 << 20);
	answer_go_on_from(&answer, &told);
	silent = answer_is_silent(&answer);
	answer_done(&answer);
	result_unref(result);
	generation_unref(before);
	return silent;
}

static void test_silence(void **state)
{
	uint32_t swapped = PAGE_STATE_BIT(PAGE_SWAPPED);

	(void)state;
	assert_true(is_silent("hps", "hps", UINT32_MAX));
	assert_false(is_silent("hps", "pps", UINT32_MAX));
	assert_true(is_silent("hps", "pps", swapped));
	assert_false(is_silent("hps", "hss", swapped));
	assert_false(is_silent("hps", "hpp", swapped));
	/* The size is told in any case. */
	assert_false(is_silent("hps", "hpsh", swapped));
}

static void test_no_events(void **state)
{
	struct watches *all = NULL;
	struct watch *watch = NULL;
	sd_event *event = NULL;

	(void)state;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(watches_new(event, NULL, &all), 0);
	assert_int_equal(watches_level(all), EVENTS_NONE);
	assert_int_equal(watch_new(all, 4711, NULL, NULL, &watch), -EOPNOTSUPP);
	assert_int_equal(watch_new(all, 0, NULL, NULL, &watch), -EOPNOTSUPP);
	assert_null(watch);
	assert_int_equal(watches_count(all), 0);
	assert_false(watches_attached(all));
	watches_free(all);
	sd_event_unref(event);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_no_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
