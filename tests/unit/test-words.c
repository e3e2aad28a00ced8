/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "classify/words.h"

/* The definition, word by word. */
static struct word_masks sort_naively(const uint64_t words[WORDS])
{
	struct word_masks m = {.all = UINT64_MAX};

	for (unsigned k = 0; k < WORDS; k++) {
		uint64_t bit = UINT64_C(1) << k;

		if (words[k] != 0)
			m.used |= bit;
		if (words[k] & 1) {
			m.value |= bit;
			m.any |= words[k];
			m.all &= words[k];
		} else if (words[k] & 2) {
			m.internal |= bit;
		}
	}
	return m;
}

static void check(const uint64_t words[WORDS])
{
	struct word_masks naive = sort_naively(words), generic, fast;

	/* What was there before must not show through. */
	memset(&generic, 0xa5, sizeof(generic));
	memset(&fast, 0x5a, sizeof(fast));
	words_sort_generic(words, &generic);
	words_sort(words, &fast);
	assert_memory_equal(&generic, &naive, sizeof(naive));
	assert_memory_equal(&fast, &naive, sizeof(naive));
}

static uint64_t random_word(struct random *random)
{
	uint64_t w = random_next(random);

	switch (random_below(random, 8)) {
	case 0:
		return 0;
	case 1: /* a folio */
		return w & ~UINT64_C(63);
	case 2: /* a swap entry, of any type */
		return w | 1;
	case 3: /* a sibling */
		return random_below(random, 63) << 2 | 2;
	case 4: /* a node, "retry", "zero" */
		return (uint64_t[]){w << 2 | 2, 0x402, 0x406}[random_below(random, 3)];
	case 5: /* the sign bit and the low bits, on which the vectors turn */
		return (w & UINT64_C(0x8000000000000000)) | (w & 3);
	case 6:
		return UINT64_C(1) << random_below(random, 64);
	default:
		return w;
	}
}

static void test_random(void **state)
{
	struct random random = {.state = 11};
	uint64_t words[WORDS];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		for (unsigned k = 0; k < WORDS; k++)
			words[k] = random_word(&random);
		check(words);
	}
}

/* All words alike, and each slot alone. */
static void test_uniform(void **state)
{
	static const uint64_t cases[] = {0,
					 1,
					 2,
					 3,
					 4,
					 0x402,
					 0x406,
					 UINT64_MAX,
					 UINT64_MAX - 1,
					 UINT64_MAX - 3,
					 UINT64_C(1) << 63,
					 UINT64_C(1) << 63 | 1,
					 UINT64_C(1) << 63 | 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t words[WORDS];

		for (unsigned k = 0; k < WORDS; k++)
			words[k] = cases[i];
		check(words);
		for (unsigned k = 0; k < WORDS; k++) {
			uint64_t alone[WORDS] = {0};

			alone[k] = cases[i];
			check(alone);
			words[k] = 0;
			check(words);
			words[k] = cases[i];
		}
	}
}

/* No vector has to be aligned. */
static void test_anywhere(void **state)
{
	struct random random = {.state = 12};
	uint64_t words[2 * WORDS];

	(void)state;
	for (unsigned k = 0; k < 2 * WORDS; k++)
		words[k] = random_word(&random);
	for (unsigned k = 0; k <= WORDS; k++)
		check(words + k);
}

static void test_entries(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 32; type++) {
		uint64_t entry = (uint64_t)type << ENTRY_TYPE_SHIFT | 0x123456789;
		uint64_t word = entry << 1 | 1;

		assert_int_equal(word_to_entry(word), entry);
		assert_int_equal(entry_type(word_to_entry(word)), type);
		assert_int_equal(entry_offset(word_to_entry(word)), 0x123456789);
		assert_false(word_is_sibling(word));
	}
	assert_int_equal(entry_offset(UINT64_MAX >> 1), ENTRY_OFFSET_MASK);
	assert_int_equal(entry_type(UINT64_MAX >> 1), 31);
}

/* The kernel's own: internal, and below the sibling of the last slot, which can be no head. */
static void test_siblings(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 63; k++) {
		assert_true(word_is_sibling((uint64_t)k << 2 | 2));
		assert_int_equal(word_to_sibling((uint64_t)k << 2 | 2), k);
	}
	assert_false(word_is_sibling(63 << 2 | 2));
	assert_false(word_is_sibling(0));
	assert_false(word_is_sibling(4));
	assert_false(word_is_sibling(5));
	assert_false(word_is_sibling(0x402));
	assert_false(word_is_sibling(0x406));
	assert_false(word_is_sibling(UINT64_C(0xffff888000000002)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),   cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_anywhere), cmocka_unit_test(test_entries),
		cmocka_unit_test(test_siblings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
