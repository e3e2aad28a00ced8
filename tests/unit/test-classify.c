/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "classify/classify.h"

/*
 * The expectation, written down by hand from what the kernel does, one line a combination of
 * answers. Four letters, - where nobody asked and * where it does not matter:
 *
 *   SEEK      D data, N no data
 *   mincore   I in core, O out of core
 *   cachestat F a folio in the slot, S a swap entry, E an empty slot
 *   pagemap   M some process has a page of the object mapped there
 *
 * An interface that gave two answers in one look is not in the table: such a page is unknown.
 */
static const struct {
	const char *answers;
	enum page_state state;
} table[] = {
	/* No data, and an empty slot: a hole. Only an uptodate folio is in core. */
	{"N-E-", PAGE_HOLE},
	{"NOE-", PAGE_HOLE},
	{"NIE-", PAGE_UNKNOWN},
	/* No data, and a folio: not uptodate, made by fallocate. */
	{"N-F-", PAGE_ALLOCATED},
	{"NOF-", PAGE_ALLOCATED},
	{"NIF-", PAGE_UNKNOWN},
	/* A swap entry is data. */
	{"N*S-", PAGE_UNKNOWN},
	/* No data: a hole or allocated. */
	{"N---", PAGE_UNKNOWN},
	{"NO--", PAGE_UNKNOWN},
	{"NI--", PAGE_UNKNOWN},
	/* A fault fills the page: what is mapped has data. */
	{"N**M", PAGE_UNKNOWN},

	/* Data, and a folio: uptodate, and so in core. */
	{"D-F*", PAGE_PRESENT},
	{"DIF*", PAGE_PRESENT},
	{"DOF*", PAGE_UNKNOWN},
	/* Data, and a swap entry: mincore looks it up in the swap cache. It cannot be mapped. */
	{"DIS-", PAGE_SWAP_CACHE},
	{"DOS-", PAGE_SWAPPED},
	{"D-S-", PAGE_UNKNOWN},
	{"D*SM", PAGE_UNKNOWN},
	/* Data, and an empty slot. */
	{"D*E*", PAGE_UNKNOWN},
	/* No cachestat. What is mapped is a folio of the object. */
	{"DI--", PAGE_IN_CORE},
	{"DI-M", PAGE_PRESENT},
	{"DO--", PAGE_SWAPPED},
	{"DO-M", PAGE_UNKNOWN},
	{"D---", PAGE_UNKNOWN},
	{"D--M", PAGE_UNKNOWN},

	/* Nobody asked for data. What is in core is data. */
	{"-IF*", PAGE_PRESENT},
	{"-IS-", PAGE_SWAP_CACHE},
	{"-ISM", PAGE_UNKNOWN},
	{"-IE*", PAGE_UNKNOWN},
	{"-I--", PAGE_IN_CORE},
	{"-I-M", PAGE_PRESENT},
	/* An empty slot is a hole, whatever nobody asked. */
	{"--E-", PAGE_HOLE},
	{"-OE-", PAGE_HOLE},
	{"--EM", PAGE_UNKNOWN},
	{"-OEM", PAGE_UNKNOWN},
	/* Anything else is left to those who ask more. */
	{"--F*", PAGE_UNKNOWN},
	{"-OF*", PAGE_UNKNOWN},
	{"--S*", PAGE_UNKNOWN},
	{"-OS*", PAGE_UNKNOWN},
	{"----", PAGE_UNKNOWN},
	{"---M", PAGE_UNKNOWN},
	{"-O-*", PAGE_UNKNOWN},
};

/* The answers that a set of facts stands for, or false if an interface gave two. */
static bool facts_to_answers(unsigned facts, char answers[5])
{
	static const char letters[] = "DNIOFSEM";
	static const int group[] = {0, 0, 1, 1, 2, 2, 2, 3};

	strcpy(answers, "----");
	for (int bit = 0; bit < 8; bit++) {
		if (!(facts & (1u << bit)))
			continue;
		if (answers[group[bit]] != '-')
			return false;
		answers[group[bit]] = letters[bit];
	}
	return true;
}

static bool answers_match(const char *pattern, const char *answers)
{
	for (int i = 0; i < 4; i++)
		if (pattern[i] != '*' && pattern[i] != answers[i])
			return false;
	return true;
}

static void test_bits(void **state)
{
	static const page_facts bits[] = {FACT_DATA,  FACT_NO_DATA, FACT_IN_CORE, FACT_NOT_IN_CORE,
					  FACT_FOLIO, FACT_ENTRY,   FACT_EMPTY,   FACT_MAPPED};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		assert_int_equal(bits[i], 1 << i);
}

static void test_every_set_of_facts(void **state)
{
	int wrong = 0;

	(void)state;
	for (unsigned facts = 0; facts < 256; facts++) {
		enum page_state expected = PAGE_UNKNOWN, got = classify((page_facts)facts);
		char answers[5];

		if (facts_to_answers(facts, answers)) {
			int matches = 0;

			for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
				if (!answers_match(table[i].answers, answers))
					continue;
				expected = table[i].state;
				matches++;
			}
			assert_int_equal(matches, 1); /* the table is complete and unambiguous */
		}
		if (got != expected) {
			print_error("0x%02x %s: expected %s, got %s\n", facts, answers,
				    page_state_to_string(expected), page_state_to_string(got));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/*
 * The table "State x interface" of the kernel's facts, the other way round: what each interface
 * says of a page in a known state. Whichever of them are asked, the answer must not be a wrong
 * state.
 */
static const struct {
	const char *what;
	const char *answers; /* M: may be mapped, or not */
	enum page_state state;
	enum page_state cautious; /* another answer that is right; or the same */
} kernel[] = {
	{"hole", "NOE-", PAGE_HOLE, PAGE_HOLE},
	{"allocated by fallocate", "NOF-", PAGE_ALLOCATED, PAGE_ALLOCATED},
	{"present", "DIFM", PAGE_PRESENT, PAGE_IN_CORE},
	{"swap cache", "DIS-", PAGE_SWAP_CACHE, PAGE_IN_CORE},
	/* A read from swap under way: nothing in RAM that anybody could use yet. */
	{"swap cache, not uptodate", "DOS-", PAGE_SWAPPED, PAGE_SWAPPED},
	{"swapped", "DOS-", PAGE_SWAPPED, PAGE_SWAPPED},
	/* Told from swapped by the accounting, not by these facts. */
	{"poisoned", "DOS-", PAGE_SWAPPED, PAGE_SWAPPED},
};

static page_facts answers_to_facts(const char *answers, unsigned asked)
{
	static const char letters[] = "DNIOFSEM";
	page_facts facts = 0;

	for (int i = 0; i < 4; i++) {
		const char *p = answers[i] != '-' ? strchr(letters, answers[i]) : NULL;

		if (p && (asked & (1u << i)))
			facts |= (page_facts)(1u << (p - letters));
	}
	return facts;
}

static void test_kernel_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++) {
		for (unsigned asked = 0; asked < 16; asked++) {
			enum page_state got = classify(answers_to_facts(kernel[i].answers, asked));

			if (got != PAGE_UNKNOWN && got != kernel[i].state &&
			    got != kernel[i].cautious)
				fail_msg("%s, asked 0x%x: %s", kernel[i].what, asked,
					 page_state_to_string(got));
		}
		/* All three asked about the object: exact, mapped somewhere or not. */
		assert_int_equal(classify(answers_to_facts(kernel[i].answers, 7)), kernel[i].state);
		assert_int_equal(classify(answers_to_facts(kernel[i].answers, 15)),
				 kernel[i].state);
	}
}

/* More knowledge never turns one definite state into another: at most into unknown. */
static void test_more_facts_do_not_contradict(void **state)
{
	(void)state;
	for (unsigned facts = 0; facts < 256; facts++) {
		enum page_state less = classify((page_facts)facts);

		for (int bit = 0; bit < 8 && less != PAGE_UNKNOWN; bit++) {
			enum page_state more = classify((page_facts)(facts | 1u << bit));

			if (more != PAGE_UNKNOWN && more != less && less != PAGE_IN_CORE)
				fail_msg("0x%02x is %s, with bit %d it is %s", facts,
					 page_state_to_string(less), bit,
					 page_state_to_string(more));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_every_set_of_facts),
		cmocka_unit_test(test_kernel_table),
		cmocka_unit_test(test_more_facts_do_not_contradict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
