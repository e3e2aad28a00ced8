/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What kernels keep of a swap slot: those that we know, and those that we do not. */

#include "unit.h"

#include "bpf/swap.h"
#include "classify/units.h"

#define FOLIO UINT64_C(0xffffea0004321040)
#define COUNT(n) ((uint64_t)(n) << 60)
#define ZERO (UINT64_C(1) << SWAP_TABLE_ZERO_BIT)
#define SHADOW UINT64_C(0x123456789)

static void test_bytes(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++)
		assert_int_equal(unit_tell(UNIT_BYTE, byte), byte == 0xbf   ? UNIT_SWAPPED
							     : byte == 0xff ? UNIT_CACHED
									    : UNIT_STRANGE);
	/* In 7.0 the map has lost its bit, and the mark: a mere 1 says nothing of the swap cache.
	 */
	assert_int_equal(unit_tell(UNIT_BYTE, 1), UNIT_STRANGE);
	assert_true(unit_is_header(UNIT_BYTE, 0x3f));
	assert_false(unit_is_header(UNIT_BYTE, 0));
	assert_false(unit_is_header(UNIT_BYTE, 0xbf));
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(unit_tell(UNIT_WORD, 0), UNIT_SWAPPED);
	assert_int_equal(unit_tell(UNIT_WORD, SHADOW), UNIT_SWAPPED);
	assert_int_equal(unit_tell(UNIT_WORD, FOLIO), UNIT_CACHED);
	assert_int_equal(unit_tell(UNIT_WORD, SWAP_TABLE_BAD), UNIT_STRANGE);
	assert_int_equal(unit_tell(UNIT_WORD, FOLIO | 2), UNIT_STRANGE);
	assert_int_equal(unit_tell(UNIT_WORD, FOLIO | 4), UNIT_STRANGE);
	assert_int_equal(unit_tell(UNIT_WORD, 0x1000), UNIT_STRANGE);
}

/* A word that does not count one reference is of no slot that an entry refers to. */
static void test_counted_words(void **state)
{
	const uint64_t pfn = UINT64_C(0x43210) << 2 | 2;

	(void)state;
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1) | SHADOW), UNIT_SWAPPED);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1) | 1), UNIT_SWAPPED);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1) | ZERO | 1), UNIT_SWAPPED);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1) | pfn), UNIT_CACHED);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1) | ZERO | pfn), UNIT_CACHED);
	for (unsigned n = 0; n < 16; n++) {
		if (n == 1)
			continue;
		assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(n) | SHADOW), UNIT_STRANGE);
		assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(n) | pfn), UNIT_STRANGE);
	}
	/* One bit more of count, or one less. */
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, UINT64_C(1) << 59 | SHADOW), UNIT_STRANGE);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, UINT64_C(1) << 61 | SHADOW), UNIT_STRANGE);
	/* Reserved so far, "for potential pointer usage". */
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1) | 0x1004), UNIT_STRANGE);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, COUNT(1)), UNIT_STRANGE);
	assert_int_equal(unit_tell(UNIT_COUNTED_WORD, FOLIO), UNIT_STRANGE);
	assert_true(unit_is_header(UNIT_COUNTED_WORD, SWAP_TABLE_BAD));
	assert_false(unit_is_header(UNIT_COUNTED_WORD, 0));
}

/* The fast pass asks for any slot, in use or not. */
static void test_any(void **state)
{
	(void)state;
	assert_false(word_may_be_cached(0));
	assert_false(word_may_be_cached(COUNT(3) | SHADOW));
	assert_false(word_may_be_cached(SWAP_TABLE_BAD));
	assert_true(word_may_be_cached(FOLIO));
	assert_true(word_may_be_cached(COUNT(1) | 0x43212));
	assert_true(word_may_be_cached(0x1004));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_counted_words),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
