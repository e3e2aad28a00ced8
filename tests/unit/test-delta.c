/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "model/delta.h"

#define PAGE UINT64_C(4096)

/* A snapshot of pages [first, first + count) of an object whose pages are in these states. */
static struct snapshot make(uint64_t pages, uint64_t first, uint64_t count, const uint8_t *states)
{
	struct snapshot s = {
		.page_size = PAGE, .size = pages * PAGE, .first = first, .count = count};

	s.map.first = first;
	for (uint64_t i = 0; i < count;) {
		uint64_t run = 1;

		while (i + run < count && states[first + i + run] == states[first + i])
			run++;
		assert_int_equal(state_map_append(&s.map, run, (enum page_state)states[first + i]),
				 0);
		i += run;
	}
	return s;
}

static struct snapshot make_whole(uint64_t pages, const uint8_t *states)
{
	return make(pages, 0, pages, states);
}

static int state_at(const struct snapshot *s, uint64_t page)
{
	return page < s->first + s->count ? (int)state_map_get(&s->map, page) : CHANGE_BEYOND;
}

/* Page by page, by what state_map_get() says. */
static void check(const struct snapshot *old, const struct snapshot *new, uint64_t first)
{
	uint64_t at = first, end = old->first + old->count;
	struct delta d = delta_seek(old, new, first);
	struct change c = {.from = -2}, before;

	if (new->first + new->count > end)
		end = new->first + new->count;
	for (before = c; delta_next(&d, &c); before = c) {
		assert_true(c.first >= at && c.count > 0 && c.from != c.to);
		/* as long as can be */
		assert_false(c.first == at && at > first && c.from == before.from &&
			     c.to == before.to && before.first + before.count == c.first);
		for (; at < c.first; at++)
			assert_int_equal(state_at(old, at), state_at(new, at));
		for (; at < c.first + c.count; at++) {
			assert_int_equal(state_at(old, at), c.from);
			assert_int_equal(state_at(new, at), c.to);
		}
	}
	for (; at < end; at++)
		assert_int_equal(state_at(old, at), state_at(new, at));
	assert_false(delta_next(&d, &c));
}

static void test_same(void **state)
{
	uint8_t states[1000];
	struct snapshot a, b;

	(void)state;
	memset(states, PAGE_SWAPPED, sizeof(states));
	states[700] = PAGE_HOLE;
	a = make_whole(1000, states);
	b = make_whole(1000, states);
	assert_true(delta_is_empty(&a, &b));
	check(&a, &b, 0);
	b.size--; /* less than a page, but not the same */
	assert_false(delta_is_empty(&a, &b));
	snapshot_done(&a);
	snapshot_done(&b);
}

/* Runs are joined over blocks, and over a uniform stretch and what is not. */
static void test_joined(void **state)
{
	uint8_t before[1000], after[1000];
	struct snapshot a, b;
	struct change c;
	struct delta d;

	(void)state;
	memset(before, PAGE_PRESENT, sizeof(before));
	memset(after, PAGE_PRESENT, sizeof(after));
	memset(after + 60, PAGE_SWAPPED, 640);
	after[3] = PAGE_HOLE;
	a = make_whole(1000, before);
	b = make_whole(1000, after);
	d = delta_seek(&a, &b, 0);
	assert_true(delta_next(&d, &c));
	assert_int_equal(c.first, 3);
	assert_int_equal(c.count, 1);
	assert_true(delta_next(&d, &c));
	assert_int_equal(c.first, 60);
	assert_int_equal(c.count, 640);
	assert_int_equal(c.from, PAGE_PRESENT);
	assert_int_equal(c.to, PAGE_SWAPPED);
	assert_false(delta_next(&d, &c));
	assert_true(change_concerns(&c, PAGE_STATE_BIT(PAGE_SWAPPED)));
	assert_true(change_concerns(&c, PAGE_STATE_BIT(PAGE_PRESENT)));
	assert_false(change_concerns(&c, PAGE_STATE_BIT(PAGE_HOLE)));
	snapshot_done(&a);
	snapshot_done(&b);
}

/* An object that grows, or shrinks: what was not, or is not, has no state. */
static void test_size(void **state)
{
	uint8_t states[300];
	struct snapshot a, b;
	struct change c;
	struct delta d;

	(void)state;
	memset(states, PAGE_SWAPPED, sizeof(states));
	a = make_whole(130, states);
	b = make_whole(300, states);
	d = delta_seek(&a, &b, 0);
	assert_true(delta_next(&d, &c));
	assert_int_equal(c.first, 130);
	assert_int_equal(c.count, 170);
	assert_int_equal(c.from, CHANGE_BEYOND);
	assert_int_equal(c.to, PAGE_SWAPPED);
	assert_false(delta_next(&d, &c));
	check(&a, &b, 0);
	check(&b, &a, 0);
	check(&b, &a, 200);
	assert_true(change_concerns(&c, PAGE_STATE_BIT(PAGE_SWAPPED)));
	assert_false(change_concerns(&c, PAGE_STATE_BIT(PAGE_HOLE)));
	snapshot_done(&a);
	a = make_whole(0, states);
	check(&a, &b, 0);
	check(&b, &a, 0);
	check(&a, &a, 0);
	snapshot_done(&a);
	snapshot_done(&b);
}

/* Who asks about a range is not told of what was behind the end. */
static void test_stop(void **state)
{
	uint8_t before[300], after[300];
	struct snapshot a, b;
	struct change c;
	struct delta d;

	(void)state;
	memset(before, PAGE_SWAPPED, sizeof(before));
	memset(after, PAGE_PRESENT, sizeof(after));
	a = make_whole(300, before);
	b = make(120, 0, 120, after);
	d = delta_seek(&a, &b, 0);
	delta_stop_at(&d, 120);
	assert_true(delta_next(&d, &c));
	assert_int_equal(c.count, 120);
	assert_false(delta_next(&d, &c));
	d = delta_seek(&a, &b, 0);
	delta_stop_at(&d, 130);
	assert_true(delta_next(&d, &c) && delta_next(&d, &c));
	assert_int_equal(c.first, 120);
	assert_int_equal(c.count, 10);
	assert_int_equal(c.to, CHANGE_BEYOND);
	assert_false(delta_next(&d, &c));
	d = delta_seek(&a, &b, 50);
	delta_stop_at(&d, 70);
	assert_true(delta_next(&d, &c));
	assert_int_equal(c.count, 20);
	assert_false(delta_next(&d, &c));
	snapshot_done(&a);
	snapshot_done(&b);
}

static void test_covered(void **state)
{
	uint8_t states[300] = {0};
	struct snapshot whole, part;

	(void)state;
	whole = make_whole(300, states);
	part = make(300, 100, 50, states);
	assert_true(delta_is_covered(&whole, (struct page_range){0, UINT64_MAX}));
	assert_true(delta_is_covered(&whole, (struct page_range){10, 1000}));
	assert_true(delta_is_covered(&whole, (struct page_range){1000, 1}));
	assert_false(delta_is_covered(&part, (struct page_range){0, UINT64_MAX}));
	assert_false(delta_is_covered(&part, (struct page_range){100, UINT64_MAX}));
	assert_false(delta_is_covered(&part, (struct page_range){99, 10}));
	assert_false(delta_is_covered(&part, (struct page_range){100, 51}));
	assert_false(delta_is_covered(&part, (struct page_range){200, 1}));
	assert_true(delta_is_covered(&part, (struct page_range){100, 50}));
	assert_true(delta_is_covered(&part, (struct page_range){120, 3}));
	snapshot_done(&whole);
	snapshot_done(&part);
}

/* A few states in runs of all lengths, then some of them changed. */
static void fill(struct random *r, uint8_t *states, uint64_t n, uint64_t longest)
{
	for (uint64_t i = 0; i < n;) {
		uint64_t run = 1 + random_below(r, longest);
		uint8_t state = (uint8_t)random_below(r, PAGE_STATE_MAX);

		for (; run > 0 && i < n; run--)
			states[i++] = state;
	}
}

static void test_random(void **state)
{
	static const uint64_t longest[] = {1, 3, 70, 400, 3000};
	static uint8_t before[5000], after[5000];
	struct random r = {6};

	(void)state;
	for (int i = 0; i < rounds(3000); i++) {
		uint64_t n = 1 + random_below(&r, 5000), m = n;
		struct snapshot a, b;

		fill(&r, before, n, longest[random_below(&r, ARRAY_SIZE(longest))]);
		memcpy(after, before, sizeof(after));
		for (uint64_t k = random_below(&r, 20); k > 0; k--) {
			uint64_t at = random_below(&r, n), run = 1 + random_below(&r, n - at);

			memset(after + at, (int)random_below(&r, PAGE_STATE_MAX),
			       run % (1 + random_below(&r, 200)));
		}
		if (random_below(&r, 3) == 0) {
			m = 1 + random_below(&r, 5000);
			fill(&r, after + MIN(n, m), m - MIN(n, m), 50);
		}
		a = make_whole(n, before);
		b = make_whole(m, after);
		check(&a, &b, 0);
		check(&b, &a, random_below(&r, MAX(n, m)));
		snapshot_done(&a);
		snapshot_done(&b);
	}
}

/* The new one is of a part only, as it was asked for. */
static void test_part(void **state)
{
	static uint8_t before[5000], after[5000];
	struct random r = {7};

	(void)state;
	for (int i = 0; i < rounds(1000); i++) {
		uint64_t first = random_below(&r, 5000), count = 1 + random_below(&r, 5000 - first);
		struct snapshot a, b;
		struct change c;
		struct delta d;
		uint64_t pages = 0;

		fill(&r, before, 5000, 90);
		fill(&r, after, 5000, 90);
		a = make_whole(5000, before);
		b = make(5000, first, count, after);
		d = delta_seek(&a, &b, first);
		while (delta_next(&d, &c)) {
			assert_true(c.first >= first && c.first + c.count <= first + count);
			pages += c.count;
		}
		for (uint64_t p = first; p < first + count; p++)
			pages -= before[p] != after[p];
		assert_int_equal(pages, 0);
		snapshot_done(&a);
		snapshot_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),    cmocka_unit_test(test_joined),
		cmocka_unit_test(test_size),    cmocka_unit_test(test_stop),
		cmocka_unit_test(test_covered), cmocka_unit_test(test_random),
		cmocka_unit_test(test_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
