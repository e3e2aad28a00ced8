/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "track/history.h"
#include "util/stop.h"

#define PAGE UINT64_C(4096)

static struct identity identity_of(uint64_t n)
{
	return (struct identity){.ino = n, .certain = true, .generation = 7, .birth = 9};
}

static struct generation *make(uint64_t first, uint64_t count, uint64_t pages,
			       enum page_state state)
{
	struct snapshot s = {
		.page_size = PAGE, .size = pages * PAGE, .first = first, .count = count};
	struct generation *g;
	uint64_t now = monotonic_ns();

	s.map.first = first;
	assert_int_equal(state_map_append(&s.map, count, state), 0);
	g = generation_new(&s, now, now);
	assert_non_null(g);
	return g;
}

static struct generation *make_whole(uint64_t pages, enum page_state state)
{
	return make(0, pages, pages, state);
}

/* Adds it and lets it go; returns its number. */
static uint64_t add(struct history *h, uint64_t object, enum history_keep keep,
		    struct generation *g)
{
	struct identity id = identity_of(object);
	uint64_t number;

	assert_int_equal(history_add(h, &id, keep, g), 0);
	number = g->number;
	generation_unref(g);
	return number;
}

static bool has(struct history *h, uint64_t object, uint64_t number)
{
	struct identity id = identity_of(object);
	struct history_bounds bounds;
	struct generation *g = NULL;
	int r = history_find(h, &id, number, &g, &bounds);

	assert_true(r == 0 || r == -ESTALE);
	assert_true((r == 0) == (g != NULL));
	if (g)
		assert_int_equal(g->number, number);
	generation_unref(g);
	return r == 0;
}

static void test_numbers(void **state)
{
	struct history *h;
	uint64_t a, b, c;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	a = add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	assert_int_not_equal(a, 0);
	assert_true(a < UINT64_C(1) << 53); /* exact in a double */
	/* nothing has changed: the same one */
	assert_int_equal(add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT)), a);
	b = add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_SWAPPED));
	assert_true(b > a);
	/* as it was before, but not the same: something has happened */
	c = add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	assert_true(c > b);
	assert_true(has(h, 1, a) && has(h, 1, b) && has(h, 1, c));
	/* of another size, of another range, of another object */
	assert_true(add(h, 1, HISTORY_KEEP, make_whole(101, PAGE_PRESENT)) > c);
	assert_true(add(h, 1, HISTORY_KEEP, make(0, 50, 100, PAGE_PRESENT)) > c);
	assert_false(has(h, 2, a));
	assert_false(has(h, 1, a - 1));
	assert_false(has(h, 1, 0));
	history_free(h);
	assert_null(history_free(NULL));
}

/* Looks at parts do not make a new one of a whole that has not changed, nor the other way round. */
static void test_parts(void **state)
{
	struct history *h;
	uint64_t whole, part, other;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	whole = add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	part = add(h, 1, HISTORY_KEEP, make(10, 20, 100, PAGE_PRESENT));
	other = add(h, 1, HISTORY_KEEP, make(10, 21, 100, PAGE_PRESENT));
	assert_true(whole < part && part < other);
	assert_int_equal(add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT)), whole);
	assert_int_equal(add(h, 1, HISTORY_KEEP, make(10, 20, 100, PAGE_PRESENT)), part);
	assert_int_equal(history_usage(h).generations, 3);
	/* a part of an object that has another size now */
	assert_true(add(h, 1, HISTORY_KEEP, make(10, 20, 200, PAGE_PRESENT)) > other);
	/* it was larger meanwhile */
	other = add(h, 1, HISTORY_KEEP, make_whole(200, PAGE_PRESENT));
	assert_true(add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT)) > other);
	history_free(h);
}

/* A new object with the number of one that has gone is another object. */
static void test_identity(void **state)
{
	struct identity first = identity_of(1), second = first, third = first, fourth = first;
	struct history_bounds bounds;
	struct generation *g = make_whole(10, PAGE_HOLE), *found;
	struct history *h;

	(void)state;
	second.generation++;
	third.birth++;
	fourth.certain = false;
	assert_int_equal(history_new(1 << 20, &h), 0);
	assert_int_equal(history_add(h, &first, HISTORY_KEEP, g), 0);
	assert_int_equal(history_find(h, &second, g->number, &found, &bounds), -ESTALE);
	assert_int_equal(history_find(h, &third, g->number, &found, &bounds), -ESTALE);
	assert_int_equal(history_find(h, &fourth, g->number, &found, &bounds), -ESTALE);
	assert_int_equal(bounds.oldest, 0);
	assert_int_equal(history_find(h, &first, g->number, &found, &bounds), 0);
	assert_ptr_equal(found, g);
	assert_int_equal(bounds.oldest, g->number);
	generation_unref(found);
	generation_unref(g);
	/* what cannot be known again is not kept */
	g = make_whole(10, PAGE_HOLE);
	assert_int_equal(history_add(h, &fourth, HISTORY_KEEP, g), 0);
	assert_int_equal(g->number, 0);
	generation_unref(g);
	history_free(h);
}

static void test_limit(void **state)
{
	struct generation *sample = make_whole(10, PAGE_HOLE);
	size_t each = sample->bytes;
	uint64_t numbers[10];
	struct history *h;

	(void)state;
	generation_unref(sample);
	assert_int_equal(history_new(4 * each, &h), 0);
	for (uint64_t i = 0; i < 10; i++)
		numbers[i] = add(h, 1, HISTORY_KEEP, make_whole(10 + i, PAGE_HOLE));
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(has(h, 1, numbers[i]), i >= 6);
	assert_int_equal(history_usage(h).generations, 4);
	assert_int_equal(history_usage(h).bytes, 4 * each);
	assert_int_equal(history_usage(h).dropped, 6);
	/* a list does not drive out what agents hold on to */
	assert_int_equal(add(h, 2, HISTORY_KEEP_IF_ROOM, make_whole(5, PAGE_HOLE)), 0);
	assert_true(has(h, 1, numbers[6]));
	/* asked for by number: it was the oldest, and is not any more */
	add(h, 3, HISTORY_KEEP, make_whole(5, PAGE_HOLE));
	assert_true(has(h, 1, numbers[6]));
	assert_false(has(h, 1, numbers[7]));
	history_set_limit(h, each);
	assert_int_equal(history_usage(h).generations, 1);
	/* what is larger than all of it */
	history_set_limit(h, each - 1);
	assert_int_equal(add(h, 1, HISTORY_KEEP, make_whole(10, PAGE_HOLE)), 0);
	assert_int_equal(history_usage(h).bytes, 0);
	assert_int_equal(history_usage(h).objects, 0);
	history_free(h);
}

/* Others have half, and what they have goes first. */
static void test_others(void **state)
{
	struct generation *sample = make_whole(10, PAGE_HOLE);
	size_t each = sample->bytes;
	uint64_t mine[4], theirs[10];
	struct history *h;

	(void)state;
	generation_unref(sample);
	assert_int_equal(history_new(4 * each, &h), 0);
	for (uint64_t i = 0; i < 10; i++) {
		if (i < 2)
			mine[i] = add(h, 1, HISTORY_KEEP, make_whole(10 + i, PAGE_HOLE));
		theirs[i] = add(h, 2, HISTORY_KEEP_OF_OTHERS, make_whole(10 + i, PAGE_HOLE));
	}
	assert_true(has(h, 1, mine[0]) && has(h, 1, mine[1]));
	assert_true(has(h, 2, theirs[8]) && has(h, 2, theirs[9]));
	assert_false(has(h, 2, theirs[7]));
	mine[2] = add(h, 1, HISTORY_KEEP, make_whole(12, PAGE_HOLE));
	mine[3] = add(h, 1, HISTORY_KEEP, make_whole(13, PAGE_HOLE));
	for (int i = 0; i < 4; i++)
		assert_true(has(h, 1, mine[i]));
	assert_false(has(h, 2, theirs[9]));
	history_free(h);
}

/* What others asked for first is not theirs any more once it was told to who is served first. */
static void test_others_first(void **state)
{
	struct generation *sample = make_whole(10, PAGE_HOLE);
	size_t each = sample->bytes;
	uint64_t mine, listed;
	struct history *h;

	(void)state;
	generation_unref(sample);
	assert_int_equal(history_new(4 * each, &h), 0);
	mine = add(h, 1, HISTORY_KEEP_OF_OTHERS, make_whole(10, PAGE_HOLE));
	assert_int_equal(add(h, 1, HISTORY_KEEP, make_whole(10, PAGE_HOLE)), mine);
	for (uint64_t i = 0; i < 10; i++)
		add(h, 2, HISTORY_KEEP_OF_OTHERS, make_whole(10 + i, PAGE_HOLE));
	assert_true(history_usage(h).generations == 3 && has(h, 1, mine));
	/* lists are anybody's, and go before it too, however new they are */
	listed = add(h, 3, HISTORY_KEEP_IF_ROOM, make_whole(10, PAGE_HOLE));
	assert_int_not_equal(listed, 0);
	for (uint64_t i = 0; i < 3; i++)
		add(h, 4, HISTORY_KEEP, make_whole(10 + i, PAGE_HOLE));
	assert_true(has(h, 1, mine));
	assert_false(has(h, 3, listed));
	history_free(h);
}

static struct comebacks comebacks_of(struct history *h)
{
	struct identity id = identity_of(1);
	struct comebacks c = {0};

	assert_int_equal(history_comebacks(h, &id, &c), 0);
	return c;
}

/* Since when it was looked at. */
static uint64_t observed_of(struct history *h)
{
	struct comebacks c = comebacks_of(h);

	refaults_done(&c.refaults);
	return c.observed;
}

static void test_expiry(void **state)
{
	struct history *h;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	assert_int_equal(observed_of(h), 0);
	add(h, 1, HISTORY_KEEP, make(0, 50, 100, PAGE_PRESENT)); /* a part: says nothing */
	assert_int_equal(observed_of(h), 0);
	add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	assert_int_not_equal(observed_of(h), 0);
	history_expire(h, UINT64_C(3600000000000));
	assert_int_equal(history_usage(h).objects, 1);
	history_expire(h, 0);
	assert_int_equal(history_usage(h).objects, 0);
	assert_int_equal(history_usage(h).bytes, 0);
	history_free(h);
}

/* Looks that took long, and that others overtook: what came back then is not told. */
static void test_overtaken(void **state)
{
	struct generation *slow = make_whole(100, PAGE_SWAPPED);
	struct comebacks c;
	struct history *h;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	slow->began = 0;
	add(h, 1, HISTORY_KEEP, slow);
	add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	c = comebacks_of(h);
	assert_int_equal(refaults_pages(&c.refaults, 0), 0);
	refaults_done(&c.refaults);
	history_free(h);
}

static void *hammer(void *context)
{
	struct history *h = context;
	struct random r = {(uint64_t)(uintptr_t)&r};

	for (int i = 0; i < rounds(20000); i++) {
		uint64_t object = random_below(&r, 5);
		enum history_keep keep = (enum history_keep)random_below(&r, 3);
		enum page_state s = (enum page_state)random_below(&r, PAGE_STATE_MAX);
		uint64_t number = add(h, object, keep, make_whole(10, s));

		has(h, object, number);
		if (i % 1000 == 0)
			history_expire(h, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	struct history *h;

	(void)state;
	assert_int_equal(history_new(4000, &h), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, h), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(history_usage(h).bytes <= 4000);
	history_free(h);
}

/* 3 bits a page at most, whatever the states. */
static void test_memory(void **state)
{
	static const uint64_t longest[] = {1, 3, 64, 100, 260, 400, 1000};
	struct random r = {8};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
		struct snapshot s = {.page_size = PAGE, .count = 1 << 20};
		struct generation *g;

		s.size = s.count * PAGE;
		while (s.map.count < s.count) {
			uint64_t run = 1 + random_below(&r, longest[i]);
			enum page_state st = (enum page_state)random_below(&r, PAGE_STATE_MAX);

			run = MIN(run, s.count - s.map.count);
			assert_int_equal(state_map_append(&s.map, run, st), 0);
		}
		g = generation_new(&s, 0, 0);
		print_message("runs of up to %llu pages: %.3f bits a page\n",
			      (unsigned long long)longest[i], (double)g->bytes * 8 / (1 << 20));
		assert_true(g->bytes <= (1 << 20) * 3 / 8 + 1024);
		/* and is counted */
		assert_true(g->bytes >=
			    g->snapshot.map.n_dense * sizeof(struct state_block) +
				    g->snapshot.map.n_segments * sizeof(struct state_segment));
		generation_unref(g);
	}
}

/* A look at 100 pages, of which those of the range are in the state and the rest present. */
static struct generation *make_with(uint64_t first, uint64_t count, enum page_state state)
{
	struct snapshot s = {.page_size = PAGE, .size = 100 * PAGE, .count = 100};
	struct generation *g;
	uint64_t now = monotonic_ns();

	assert_int_equal(state_map_append(&s.map, first, PAGE_PRESENT), 0);
	assert_int_equal(state_map_append(&s.map, count, state), 0);
	assert_int_equal(state_map_append(&s.map, 100 - first - count, PAGE_PRESENT), 0);
	g = generation_new(&s, now, now);
	assert_non_null(g);
	return g;
}

/* Looks as whoever follows it does; takes g. */
static int look(struct history *h, const struct witness *w, struct generation *g)
{
	struct identity id = identity_of(1);
	int r = history_follow(h, &id, HISTORY_KEEP, w, g);

	generation_unref(g);
	return r;
}

/* How often page `page` came back. */
static uint32_t times_of(struct history *h, uint64_t page)
{
	struct comebacks c = comebacks_of(h);
	struct refault_extent e = {0};
	bool found = refaults_next(&c.refaults, page, 0, &e) && e.first == page;

	refaults_done(&c.refaults);
	return found ? e.times : 0;
}

static uint64_t known_since(struct history *h)
{
	struct comebacks c = comebacks_of(h);

	refaults_done(&c.refaults);
	return c.known;
}

/* Whoever looks, what was in the swap and is present now has come back. */
static void test_comebacks(void **state)
{
	struct page_range outs[] = {{5, 10}, {50, 2}};
	struct witness w = {0};
	struct history *h;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	add(h, 1, HISTORY_KEEP, make_with(10, 20, PAGE_SWAPPED));
	add(h, 1, HISTORY_KEEP, make_with(20, 10, PAGE_SWAP_CACHE));
	assert_int_equal(times_of(h, 10), 1);
	assert_int_equal(times_of(h, 20), 0);
	add(h, 1, HISTORY_KEEP, make_with(90, 5, PAGE_UNKNOWN));
	assert_int_equal(times_of(h, 20), 1);
	/* what could not be told may have been in the swap */
	add(h, 1, HISTORY_KEEP, make_with(95, 5, PAGE_UNKNOWN));
	assert_int_equal(times_of(h, 90), 0);
	assert_int_equal(times_of(h, 95), 0);
	/* nothing is known for certain without a witness */
	assert_int_equal(known_since(h), 0);
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), 0);
	assert_int_equal(known_since(h), 0);
	/* the first look with one: what was before is not known */
	w.since = monotonic_ns();
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), 0);
	assert_true(known_since(h) >= w.since);
	w.since = known_since(h);
	/* went out, and is there all the same; but for those that are still out */
	w.outs = outs;
	w.n_outs = ARRAY_SIZE(outs);
	w.certain = true;
	w.counted = monotonic_ns() + UINT64_C(1000000000);
	assert_int_equal(look(h, &w, make_with(8, 4, PAGE_SWAPPED)), 0);
	assert_int_equal(known_since(h), w.since);
	assert_int_equal(times_of(h, 5), 1);
	assert_int_equal(times_of(h, 8), 0);
	assert_int_equal(times_of(h, 14), 2);
	assert_int_equal(times_of(h, 50), 1);
	assert_int_equal(times_of(h, 52), 0);
	history_free(h);
}

/* What a look has seen, and events tell too, has come back once. */
static void test_counted_once(void **state)
{
	struct page_range outs[] = {{10, 20}};
	struct witness w = {.since = 1};
	struct history *h;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), 0);
	w.counted = monotonic_ns();
	add(h, 1, HISTORY_KEEP, make_with(10, 20, PAGE_SWAPPED));
	add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	w.outs = outs;
	w.n_outs = 1;
	w.certain = true;
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), 0);
	assert_int_equal(times_of(h, 10), 1);
	/* nothing was lost, whoever looked meanwhile, and though one found it as it was */
	add(h, 1, HISTORY_KEEP, make_whole(100, PAGE_PRESENT));
	assert_int_equal(look(h, &(struct witness){.since = 1}, make_whole(100, PAGE_PRESENT)), 0);
	assert_int_not_equal(known_since(h), 0);
	/* events were lost: from now on */
	w = (struct witness){.since = monotonic_ns()};
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), 0);
	assert_true(known_since(h) >= w.since);
	/* none can be had */
	assert_int_equal(look(h, &(struct witness){0}, make_whole(100, PAGE_PRESENT)), 0);
	assert_int_equal(known_since(h), 0);
	history_free(h);
}

/* It stays as long as somebody follows it, and counts. */
static void test_followed(void **state)
{
	struct identity id = identity_of(1);
	struct witness w = {.since = 1};
	struct generation *late = make_whole(100, PAGE_PRESENT);
	struct history *h;

	(void)state;
	assert_int_equal(history_new(1 << 20, &h), 0);
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), 0);
	assert_int_equal(history_usage(h).objects, 1);
	assert_int_equal(history_usage(h).generations, 0);
	assert_true(history_usage(h).bytes > 0);
	/* begun before the last one had ended */
	assert_int_equal(look(h, &w, late), -EAGAIN);
	history_expire(h, 0);
	assert_int_equal(history_usage(h).objects, 1);
	history_unfollow(h, &id);
	assert_int_equal(history_usage(h).objects, 0);
	assert_int_equal(history_usage(h).bytes, 0);
	/* without room nothing is known, and no generation is found */
	history_set_limit(h, 10);
	assert_int_equal(look(h, &w, make_whole(100, PAGE_PRESENT)), -ENOSPC);
	assert_false(has(h, 1, 5));
	assert_int_equal(known_since(h), 0);
	assert_int_equal(history_usage(h).bytes, 0);
	history_free(h);
}

/* What stays as long as it is followed leaves room for who is served first. */
static void test_followed_for_others(void **state)
{
	struct generation *sample = make_whole(100, PAGE_PRESENT);
	size_t each = sample->bytes;
	struct witness w = {.since = 1};
	uint64_t room = 0;
	struct history *h;

	(void)state;
	generation_unref(sample);
	assert_int_equal(history_new(16 * each, &h), 0);
	for (uint64_t i = 0; i < 16; i++) {
		struct identity id = identity_of(100 + i);
		struct generation *g = make_whole(100, PAGE_PRESENT);

		room += history_follow(h, &id, HISTORY_KEEP_IF_ROOM, &w, g) == 0;
		generation_unref(g);
	}
	assert_int_equal(room, 4);
	for (uint64_t i = 0; i < 12; i++)
		assert_int_not_equal(add(h, 1, HISTORY_KEEP, make_whole(100 + i, PAGE_PRESENT)), 0);
	assert_int_equal(history_usage(h).dropped, 0);
	for (uint64_t i = 0; i < 16; i++) {
		struct identity id = identity_of(100 + i);

		history_unfollow(h, &id);
	}
	assert_int_equal(history_usage(h).bytes, 12 * each);
	/* and there is room for others again */
	history_set_limit(h, 100 * each);
	for (uint64_t i = 0; i < 4; i++) {
		struct identity id = identity_of(100 + i);
		struct generation *g = make_whole(100, PAGE_PRESENT);

		assert_int_equal(history_follow(h, &id, HISTORY_KEEP_IF_ROOM, &w, g), 0);
		generation_unref(g);
	}
	history_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),   cmocka_unit_test(test_parts),
		cmocka_unit_test(test_identity),  cmocka_unit_test(test_limit),
		cmocka_unit_test(test_others),    cmocka_unit_test(test_others_first),
		cmocka_unit_test(test_expiry),    cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_threads),   cmocka_unit_test(test_memory),
		cmocka_unit_test(test_comebacks), cmocka_unit_test(test_counted_once),
		cmocka_unit_test(test_followed),  cmocka_unit_test(test_followed_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
