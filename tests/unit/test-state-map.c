/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "model/state_map.h"

static void append(struct state_map *map, uint64_t count, enum page_state state)
{
	assert_int_equal(state_map_append(map, count, state), 0);
}

static void append_blocks(struct state_map *map, const struct state_block *blocks, size_t n)
{
	assert_int_equal(state_map_append_blocks(map, blocks, n), 0);
}

static void assert_next(struct state_cursor *cursor, uint64_t first, uint64_t count,
			enum page_state state)
{
	struct extent e;

	assert_true(state_cursor_next(cursor, &e));
	assert_int_equal(e.first, first);
	assert_int_equal(e.count, count);
	assert_int_equal(e.state, state);
	assert_int_equal(cursor->at, first + count);
}

static void assert_at_end(struct state_cursor *cursor)
{
	struct extent e;

	assert_false(state_cursor_next(cursor, &e));
	assert_false(state_cursor_next(cursor, &e)); /* and stays there */
}

/* A block all in one state. */
static struct state_block uniform(enum page_state state)
{
	struct state_block b;

	for (int i = 0; i < STATE_PLANES; i++)
		b.plane[i] = state >> i & 1 ? ~(uint64_t)0 : 0;
	return b;
}

/* A block of which one page is in another state. */
static struct state_block spotted(enum page_state state, unsigned page, enum page_state spot)
{
	struct state_block b = uniform(state);

	for (int i = 0; i < STATE_PLANES; i++)
		if ((state ^ spot) >> i & 1)
			b.plane[i] ^= (uint64_t)1 << page;
	return b;
}

static void test_empty(void **state)
{
	struct state_map map = {0};
	struct state_cursor cursor = state_map_seek(&map, 0);

	(void)state;
	assert_at_end(&cursor);
	cursor = state_map_seek(&map, 100);
	assert_at_end(&cursor);
	append(&map, 0, PAGE_PRESENT);
	append_blocks(&map, NULL, 0);
	cursor = state_map_seek(&map, 0);
	assert_at_end(&cursor);
	assert_int_equal(state_map_pages(&map, ~(page_state_mask)0), 0);
	assert_int_equal(state_map_difference(&map, &map), 0);
	state_map_done(&map);
	state_map_done(&map); /* twice is fine */
	map.first = 77;
	cursor = state_map_seek(&map, 0);
	assert_at_end(&cursor);
	state_map_done(&map);
}

static void test_runs_are_joined(void **state)
{
	struct state_map map = {0};
	struct state_cursor cursor;

	(void)state;
	append(&map, 10, PAGE_HOLE);
	append(&map, 1, PAGE_PRESENT);
	append(&map, 0, PAGE_HOLE);
	append(&map, 2, PAGE_PRESENT);
	append(&map, 51, PAGE_SWAPPED); /* ends with the block */
	append(&map, 64, PAGE_SWAPPED);
	append(&map, 5, PAGE_SWAPPED);
	append(&map, 1, PAGE_UNKNOWN);
	cursor = state_map_seek(&map, 0);
	assert_next(&cursor, 0, 10, PAGE_HOLE);
	assert_next(&cursor, 10, 3, PAGE_PRESENT);
	assert_next(&cursor, 13, 51 + 64 + 5, PAGE_SWAPPED);
	assert_next(&cursor, 133, 1, PAGE_UNKNOWN);
	assert_at_end(&cursor);
	assert_int_equal(map.count, 134);
	state_map_done(&map);
}

static void test_unaligned_first(void **state)
{
	(void)state;
	for (uint64_t first = 1000; first < 1130; first++) {
		struct state_map map = {.first = first};
		struct state_cursor cursor;

		append(&map, 70, PAGE_SWAPPED);
		append(&map, 500, PAGE_PRESENT);
		append(&map, 1, PAGE_HOLE);
		for (int i = 0; i < 3; i++) { /* from before the map, too */
			cursor = state_map_seek(&map, i == 0 ? 0 : first - 2 + (uint64_t)i);
			assert_next(&cursor, first, 70, PAGE_SWAPPED);
			assert_next(&cursor, first + 70, 500, PAGE_PRESENT);
			assert_next(&cursor, first + 570, 1, PAGE_HOLE);
			assert_at_end(&cursor);
		}
		assert_int_equal(state_map_get(&map, first), PAGE_SWAPPED);
		assert_int_equal(state_map_get(&map, first + 69), PAGE_SWAPPED);
		assert_int_equal(state_map_get(&map, first + 70), PAGE_PRESENT);
		assert_int_equal(state_map_get(&map, first + 570), PAGE_HOLE);
		assert_int_equal(map.counts[PAGE_SWAPPED], 70); /* not what lies before */
		state_map_done(&map);
	}
}

/* The pages before the first one are part of no extent, and make no block of their own. */
static void test_unaligned_and_uniform(void **state)
{
	struct state_map map = {.first = 63};

	(void)state;
	append(&map, 1 + 1000 * STATE_BLOCK_PAGES, PAGE_PRESENT);
	assert_int_equal(map.n_segments, 1);
	assert_int_equal(map.n_dense, 0);
	state_map_done(&map);
}

static void test_huge_and_sparse(void **state)
{
	const uint64_t pages = UINT64_C(1) << 39;
	struct state_map a = {0}, b = {.first = 1};
	struct state_cursor cursor;

	(void)state;
	append(&a, pages, PAGE_HOLE);
	append(&a, 1, PAGE_PRESENT);
	append(&a, pages - 1, PAGE_HOLE);
	assert_true(a.n_segments <= 3 && a.n_dense <= 1);
	append(&b, 2 * pages - 2, PAGE_HOLE);
	append(&b, 2, PAGE_SWAPPED);
	cursor = state_map_seek(&a, 12345);
	assert_next(&cursor, 12345, pages - 12345, PAGE_HOLE);
	assert_next(&cursor, pages, 1, PAGE_PRESENT);
	assert_next(&cursor, pages + 1, pages - 1, PAGE_HOLE);
	assert_at_end(&cursor);
	assert_int_equal(state_map_get(&a, pages), PAGE_PRESENT);
	assert_int_equal(state_map_get(&a, pages - 1), PAGE_HOLE);
	assert_int_equal(state_map_get(&a, 2 * pages - 1), PAGE_HOLE);
	assert_int_equal(a.counts[PAGE_HOLE], 2 * pages - 1);
	/* page 0 and page 2 * pages, the present one, and the last but one */
	assert_int_equal(state_map_difference(&a, &b), 4);
	assert_int_equal(state_map_difference(&b, &a), 4);
	state_map_done(&a);
	state_map_done(&b);
}

static void test_blocks_must_be_aligned(void **state)
{
	struct state_block b = uniform(PAGE_PRESENT);
	struct state_map map = {.first = 1};

	(void)state;
	assert_int_equal(state_map_append_blocks(&map, &b, 1), -EINVAL);
	append(&map, 62, PAGE_PRESENT);
	assert_int_equal(state_map_append_blocks(&map, &b, 1), -EINVAL);
	assert_int_equal(map.count, 62);
	append(&map, 1, PAGE_PRESENT);
	append_blocks(&map, &b, 1);
	assert_int_equal(map.count, 127);
	assert_int_equal(map.counts[PAGE_PRESENT], 127);
	assert_int_equal(map.n_dense, 0);
	state_map_done(&map);
}

static void test_uniform_blocks_are_joined(void **state)
{
	struct state_block blocks[100];
	struct state_map map = {0};
	struct state_cursor cursor;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = uniform(i < 50 ? PAGE_SWAPPED : PAGE_PRESENT);
	append(&map, 64, PAGE_SWAPPED);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i += 10)
		append_blocks(&map, blocks + i, 10);
	append(&map, 640, PAGE_PRESENT);
	assert_int_equal(map.n_segments, 2);
	assert_int_equal(map.n_dense, 0);
	cursor = state_map_seek(&map, 0);
	assert_next(&cursor, 0, 51 * 64, PAGE_SWAPPED);
	assert_next(&cursor, 51 * 64, 60 * 64, PAGE_PRESENT);
	assert_at_end(&cursor);
	state_map_done(&map);
}

/* Dense blocks that come in several calls are one segment; what runs through is one extent. */
static void test_dense_blocks_are_joined(void **state)
{
	struct state_block b = spotted(PAGE_PRESENT, 63, PAGE_SWAPPED);
	struct state_map map = {0};
	struct state_cursor cursor;

	(void)state;
	for (int i = 0; i < 3; i++)
		append_blocks(&map, &b, 1);
	append(&map, 5000, PAGE_SWAPPED);
	assert_int_equal(map.n_segments, 2);
	assert_int_equal(map.n_dense, 3);
	cursor = state_map_seek(&map, 0);
	for (uint64_t i = 0; i < 2; i++) {
		assert_next(&cursor, i * 64, 63, PAGE_PRESENT);
		assert_next(&cursor, i * 64 + 63, 1, PAGE_SWAPPED);
	}
	assert_next(&cursor, 128, 63, PAGE_PRESENT);
	assert_next(&cursor, 191, 5001, PAGE_SWAPPED);
	assert_at_end(&cursor);
	state_map_done(&map);
}

/* Neither uniform and dense blocks in turn nor ever other uniform ones make a segment each. */
static void test_few_segments(void **state)
{
	struct state_block blocks[512];

	(void)state;
	for (size_t length = 1; length < 8; length++) {
		for (int spots = 0; spots < 2; spots++) {
			struct state_map at_once = {0}, singly = {0};

			for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
				bool odd = i / length % 2;

				blocks[i] = uniform(odd ? PAGE_PRESENT : PAGE_SWAPPED);
				if (odd && spots)
					blocks[i] = spotted(PAGE_PRESENT, i % 64, PAGE_SWAP_CACHE);
			}
			append_blocks(&at_once, blocks, ARRAY_SIZE(blocks));
			for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
				append_blocks(&singly, &blocks[i], 1);
			assert_int_equal(state_map_difference(&at_once, &singly), 0);
			assert_memory_equal(at_once.counts, singly.counts, sizeof(singly.counts));
			assert_int_equal(at_once.n_segments, singly.n_segments);
			assert_int_equal(at_once.n_dense, singly.n_dense);
			if (length < 4)
				assert_true(singly.n_segments <= 2);
			else
				assert_true(singly.n_segments <= ARRAY_SIZE(blocks) / length + 1);
			state_map_done(&at_once);
			state_map_done(&singly);
		}
	}
}

static void test_counts(void **state)
{
	struct state_map map = {0};
	page_state_mask all = ~(page_state_mask)0, odd = 0;

	(void)state;
	/* Every pair of states, in dense blocks, uniform ones and single pages. */
	for (unsigned i = 0; i < PAGE_STATE_MAX; i++) {
		for (unsigned k = 0; k < PAGE_STATE_MAX; k++) {
			struct state_block b = spotted((enum page_state)i, k, (enum page_state)k);

			append_blocks(&map, &b, 1);
		}
	}
	for (unsigned i = 0; i < PAGE_STATE_MAX; i++) {
		append(&map, 1000 * i, (enum page_state)i);
		odd |= i % 2 ? PAGE_STATE_BIT(i) : 0;
	}
	for (unsigned i = 0; i < PAGE_STATE_MAX; i++)
		assert_int_equal(map.counts[i], 8 * 64 - 7 + 7 + 1000 * i);
	assert_int_equal(state_map_pages(&map, all), map.count);
	assert_int_equal(state_map_pages(&map, 0), 0);
	assert_int_equal(state_map_pages(&map, odd), 4 * 512 + 16000);
	state_map_done(&map);
}

static void test_difference_by_hand(void **state)
{
	struct state_map a = {.first = 100}, b = {.first = 100}, empty = {0}, late = {.first = 105};

	(void)state;
	append(&a, 10, PAGE_PRESENT);
	append(&b, 7, PAGE_PRESENT);
	append(&b, 3, PAGE_SWAPPED);
	append(&late, 10, PAGE_PRESENT);
	assert_int_equal(state_map_difference(&a, &a), 0);
	assert_int_equal(state_map_difference(&a, &b), 3);
	assert_int_equal(state_map_difference(&a, &empty), 10);
	assert_int_equal(state_map_difference(&empty, &a), 10);
	assert_int_equal(state_map_difference(&a, &late), 10);
	assert_int_equal(state_map_difference(&late, &b), 13);
	append(&b, 1000, PAGE_SWAPPED);
	assert_int_equal(state_map_difference(&a, &b), 1003);
	state_map_done(&a);
	state_map_done(&b);
	state_map_done(&late);
}

#define PAGES 4096

/* The naive reference: one state a page. */
struct pages {
	uint64_t first, end;
	unsigned char state[PAGES];
};

static struct state_block block_of(const struct pages *pages, uint64_t first)
{
	struct state_block b = {0};

	for (unsigned p = 0; p < 64; p++)
		for (int i = 0; i < STATE_PLANES; i++)
			b.plane[i] |= (uint64_t)(pages->state[first + p] >> i & 1) << p;
	return b;
}

/* Runs of all sizes: within a block, some blocks, many. */
static void random_pages(struct random *random, struct pages *ret)
{
	static const uint64_t longest[] = {2, 20, 100, 400, 2000};
	uint64_t states = 1 + random_below(random, PAGE_STATE_MAX), at = 0;

	while (at < PAGES) {
		uint64_t n = 1 + random_below(random, longest[random_below(random, 5)]);
		uint64_t page_state = random_below(random, states);

		if (random_below(random, 3) == 0)
			n = (n + 63) & ~UINT64_C(63); /* whole blocks now and then */
		n = MIN(n, PAGES - at);
		memset(ret->state + at, (int)page_state, n);
		at += n;
	}
	ret->first = random_below(random, 300);
	ret->end = ret->first + random_below(random, PAGES - ret->first + 1);
}

/* The same pages as a map, in the one way or the other. */
static void fill(struct random *random, const struct pages *pages, struct state_map *ret)
{
	uint64_t at = pages->first;

	*ret = (struct state_map){.first = at};
	while (at < pages->end) {
		uint64_t blocks = random_below(random, (pages->end - at) / 64 + 1), run = 1;

		if (at % 64 == 0 && blocks > 0 && random_below(random, 2) == 0) {
			struct state_block b[PAGES / 64];

			for (uint64_t i = 0; i < blocks; i++)
				b[i] = block_of(pages, at + i * 64);
			append_blocks(ret, b, blocks);
			at += blocks * 64;
			continue;
		}
		while (at + run < pages->end && pages->state[at + run] == pages->state[at] &&
		       random_below(random, 100) > 0)
			run++;
		append(ret, run, (enum page_state)pages->state[at]);
		at += run;
	}
}

static void assert_same_from(const struct state_map *map, const struct pages *pages, uint64_t from)
{
	struct state_cursor cursor = state_map_seek(map, from);
	uint64_t at = MAX(from, pages->first);

	while (at < pages->end) {
		uint64_t start = at;

		while (at < pages->end && pages->state[at] == pages->state[start])
			at++;
		assert_next(&cursor, start, at - start, (enum page_state)pages->state[start]);
	}
	assert_at_end(&cursor);
}

static void assert_same(struct random *random, const struct state_map *map,
			const struct pages *pages)
{
	uint64_t counts[PAGE_STATE_MAX] = {0};

	for (uint64_t i = pages->first; i < pages->end; i++) {
		counts[pages->state[i]]++;
		assert_int_equal(state_map_get(map, i), pages->state[i]);
	}
	assert_int_equal(map->first, pages->first);
	assert_int_equal(map->count, pages->end - pages->first);
	assert_memory_equal(map->counts, counts, sizeof(counts));
	assert_true(map->n_segments <= map->count / 128 + 2);
	assert_same_from(map, pages, 0);
	for (int i = 0; i < 20; i++)
		assert_same_from(map, pages, random_below(random, PAGES + 100));
}

static uint64_t naive_difference(const struct pages *a, const struct pages *b)
{
	uint64_t pages = 0;

	for (uint64_t i = 0; i < PAGES; i++) {
		bool in_a = i >= a->first && i < a->end, in_b = i >= b->first && i < b->end;

		pages += in_a != in_b || (in_a && in_b && a->state[i] != b->state[i]);
	}
	return pages;
}

static void test_random_maps(void **state)
{
	struct random random = {.state = 3};

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct state_map a, b, again;
		struct pages x, y;

		random_pages(&random, &x);
		random_pages(&random, &y);
		if (i % 2) { /* nearly the same */
			y = x;
			memset(y.state + random_below(&random, PAGES - 100), PAGE_POISONED, 100);
		}
		fill(&random, &x, &a);
		fill(&random, &x, &again);
		fill(&random, &y, &b);
		assert_same(&random, &a, &x);
		assert_same(&random, &b, &y);
		assert_int_equal(state_map_difference(&a, &again), 0);
		assert_int_equal(state_map_difference(&a, &b), naive_difference(&x, &y));
		assert_int_equal(state_map_difference(&b, &a), naive_difference(&x, &y));
		state_map_done(&a);
		state_map_done(&again);
		state_map_done(&b);
	}
}

/* While it grows, from page to page. */
static void test_every_length(void **state)
{
	struct random random = {.state = 4};
	struct state_map map = {.first = 61};
	struct pages pages;

	(void)state;
	random_pages(&random, &pages);
	pages.first = pages.end = map.first;
	while (pages.end < 700) {
		append(&map, 1, (enum page_state)pages.state[pages.end++]);
		assert_same_from(&map, &pages, 0);
		assert_same_from(&map, &pages, pages.end - 1);
	}
	state_map_done(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_runs_are_joined),
		cmocka_unit_test(test_unaligned_first),
		cmocka_unit_test(test_unaligned_and_uniform),
		cmocka_unit_test(test_huge_and_sparse),
		cmocka_unit_test(test_blocks_must_be_aligned),
		cmocka_unit_test(test_uniform_blocks_are_joined),
		cmocka_unit_test(test_dense_blocks_are_joined),
		cmocka_unit_test(test_few_segments),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_difference_by_hand),
		cmocka_unit_test(test_random_maps),
		cmocka_unit_test(test_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
