/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "ctl/pageout.h"

enum {
	COVERED = PAGEOUT_ASKED | PAGEOUT_COVERED,
	MAPPED = COVERED | PAGEOUT_PTE,
	TRIED = MAPPED | PAGEOUT_TRIED,
};

/* Facts in, outcome out. */
static const struct {
	pageout_facts facts;
	enum page_state before, after;
	enum pageout_fate fate;
} told[] = {
	/* It left, whatever was seen of it. */
	{TRIED | PAGEOUT_DROPPED, PAGE_PRESENT, PAGE_SWAPPED, FATE_SWAPPED},
	{TRIED | PAGEOUT_DROPPED, PAGE_PRESENT, PAGE_SWAP_CACHE, FATE_SWAP_CACHE},
	{TRIED | PAGEOUT_SHARED, PAGE_PRESENT, PAGE_SWAPPED, FATE_SWAPPED},
	{COVERED, PAGE_PRESENT, PAGE_SWAPPED, FATE_SWAPPED},
	{PAGEOUT_ASKED, PAGE_ALLOCATED, PAGE_SWAPPED, FATE_SWAPPED},
	{TRIED, PAGE_HOLE, PAGE_SWAPPED, FATE_SWAPPED},
	/* It was out. */
	{TRIED, PAGE_SWAPPED, PAGE_SWAPPED, FATE_OUT_BEFORE},
	{TRIED, PAGE_SWAP_CACHE, PAGE_SWAPPED, FATE_OUT_BEFORE},
	{TRIED, PAGE_SWAP_CACHE, PAGE_SWAP_CACHE, FATE_CACHED_BEFORE},
	{TRIED, PAGE_SWAPPED, PAGE_SWAP_CACHE, FATE_CACHED_BEFORE},
	/* Nothing is there. */
	{TRIED, PAGE_HOLE, PAGE_HOLE, FATE_ABSENT},
	{TRIED, PAGE_POISONED, PAGE_POISONED, FATE_ABSENT},
	{TRIED, PAGE_PRESENT, PAGE_HOLE, FATE_FREED},
	{TRIED, PAGE_SWAPPED, PAGE_HOLE, FATE_FREED},
	{TRIED, PAGE_ALLOCATED, PAGE_HOLE, FATE_FREED},
	/* It stayed. */
	{PAGEOUT_ASKED, PAGE_PRESENT, PAGE_PRESENT, FATE_NOT_MAPPED},
	{COVERED, PAGE_PRESENT, PAGE_PRESENT, FATE_NO_PTE},
	{COVERED | PAGEOUT_TRIED, PAGE_PRESENT, PAGE_PRESENT, FATE_NO_PTE},
	{COVERED | PAGEOUT_TRIED, PAGE_ALLOCATED, PAGE_ALLOCATED, FATE_NO_PTE},
	{COVERED | PAGEOUT_TRIED, PAGE_ALLOCATED, PAGE_PRESENT, FATE_NO_PTE},
	{TRIED | PAGEOUT_SHARED, PAGE_PRESENT, PAGE_PRESENT, FATE_MAPPED_TWICE},
	{MAPPED | PAGEOUT_LOCKED, PAGE_PRESENT, PAGE_PRESENT, FATE_LOCKED},
	{MAPPED | PAGEOUT_SPECIAL, PAGE_PRESENT, PAGE_PRESENT, FATE_SPECIAL},
	{MAPPED | PAGEOUT_FULL, PAGE_PRESENT, PAGE_PRESENT, FATE_NO_ROOM},
	{TRIED | PAGEOUT_FULL, PAGE_PRESENT, PAGE_PRESENT, FATE_NO_ROOM},
	{TRIED | PAGEOUT_DROPPED | PAGEOUT_AGAIN, PAGE_PRESENT, PAGE_PRESENT, FATE_TOUCHED},
	{TRIED, PAGE_PRESENT, PAGE_PRESENT, FATE_STAYED},
	{TRIED | PAGEOUT_DROPPED, PAGE_PRESENT, PAGE_PRESENT, FATE_STAYED},
	{TRIED | PAGEOUT_AGAIN, PAGE_PRESENT, PAGE_PRESENT, FATE_STAYED},
	/* A part of a huge page, about which nothing is advised. */
	{MAPPED | PAGEOUT_HUGE, PAGE_PRESENT, PAGE_PRESENT, FATE_HUGE_PART},
	{MAPPED | PAGEOUT_HUGE | PAGEOUT_FULL, PAGE_PRESENT, PAGE_PRESENT, FATE_HUGE_PART},
	{MAPPED | PAGEOUT_HUGE | PAGEOUT_SHARED, PAGE_PRESENT, PAGE_PRESENT, FATE_MAPPED_TWICE},
	{COVERED | PAGEOUT_HUGE, PAGE_PRESENT, PAGE_PRESENT, FATE_NO_PTE},
	{MAPPED | PAGEOUT_HUGE, PAGE_PRESENT, PAGE_SWAPPED, FATE_SWAPPED},
	{TRIED | PAGEOUT_HUGE | PAGEOUT_WHOLE, PAGE_PRESENT, PAGE_PRESENT, FATE_STAYED},
	{TRIED | PAGEOUT_MAYBE_HUGE, PAGE_PRESENT, PAGE_PRESENT, FATE_STAYED},
	/* The advice was not taken, and nothing says why. */
	{MAPPED, PAGE_PRESENT, PAGE_PRESENT, FATE_STAYED},
	/* It came. */
	{TRIED, PAGE_SWAPPED, PAGE_PRESENT, FATE_TOUCHED},
	{TRIED, PAGE_SWAP_CACHE, PAGE_PRESENT, FATE_TOUCHED},
	{TRIED, PAGE_HOLE, PAGE_PRESENT, FATE_TOUCHED},
	/* More than one reason: what lasts. */
	{COVERED | PAGEOUT_LOCKED, PAGE_PRESENT, PAGE_PRESENT, FATE_LOCKED},
	{TRIED | PAGEOUT_LOCKED | PAGEOUT_SHARED, PAGE_PRESENT, PAGE_PRESENT, FATE_LOCKED},
	{TRIED | PAGEOUT_SHARED | PAGEOUT_FULL, PAGE_PRESENT, PAGE_PRESENT, FATE_MAPPED_TWICE},
	{COVERED | PAGEOUT_FULL, PAGE_PRESENT, PAGE_PRESENT, FATE_NO_PTE},
	{TRIED | PAGEOUT_FULL | PAGEOUT_DROPPED | PAGEOUT_AGAIN, PAGE_PRESENT, PAGE_PRESENT,
	 FATE_NO_ROOM},
	/* Not known. */
	{TRIED, PAGE_PRESENT, PAGE_UNKNOWN, FATE_UNDETERMINED},
	{TRIED, PAGE_PRESENT, PAGE_IN_CORE, FATE_UNDETERMINED},
	{TRIED, PAGE_IN_CORE, PAGE_IN_CORE, FATE_UNDETERMINED},
	{TRIED, PAGE_IN_CORE, PAGE_SWAPPED, FATE_UNDETERMINED},
	{TRIED, PAGE_UNKNOWN, PAGE_SWAP_CACHE, FATE_UNDETERMINED},
	{TRIED | PAGEOUT_SHARED, PAGE_IN_CORE, PAGE_PRESENT, FATE_MAPPED_TWICE},
};

static void test_tell(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		enum pageout_fate fate = pageout_tell(told[i].facts, told[i].before, told[i].after);

		if (fate != told[i].fate)
			fail_msg("case %zu: %s, expected %s", i, pageout_fate_to_string(fate),
				 pageout_fate_to_string(told[i].fate));
	}
}

/* Whatever the facts, a page that is in RAM did not leave, and one that is out did not stay. */
static void test_every_fact(void **state)
{
	(void)state;
	for (unsigned facts = 0; facts < PAGEOUT_WHOLE << 1; facts++)
		for (int before = 0; before < PAGE_STATE_MAX; before++) {
			pageout_facts f = (pageout_facts)facts;
			enum page_state b = (enum page_state)before;
			enum pageout_fate in_ram = pageout_tell(f, b, PAGE_PRESENT);
			enum pageout_fate out = pageout_tell(f, b, PAGE_SWAPPED);

			assert_true(pageout_fate_is_refused(in_ram));
			assert_true(out == FATE_SWAPPED || out == FATE_OUT_BEFORE ||
				    out == FATE_UNDETERMINED);
			assert_int_equal(pageout_tell(f, b, PAGE_UNKNOWN), FATE_UNDETERMINED);
		}
}

static void test_foresee(void **state)
{
	(void)state;
	assert_int_equal(pageout_foresee(MAPPED, PAGE_PRESENT), FATE_MOVABLE);
	assert_int_equal(pageout_foresee(COVERED, PAGE_PRESENT), FATE_NO_PTE);
	assert_int_equal(pageout_foresee(PAGEOUT_ASKED, PAGE_PRESENT), FATE_NOT_MAPPED);
	assert_int_equal(pageout_foresee(MAPPED | PAGEOUT_SHARED, PAGE_PRESENT), FATE_MAPPED_TWICE);
	assert_int_equal(pageout_foresee(MAPPED | PAGEOUT_LOCKED, PAGE_PRESENT), FATE_LOCKED);
	assert_int_equal(pageout_foresee(MAPPED | PAGEOUT_HUGE, PAGE_PRESENT), FATE_HUGE_PART);
	assert_int_equal(pageout_foresee(MAPPED | PAGEOUT_HUGE | PAGEOUT_WHOLE, PAGE_PRESENT),
			 FATE_MOVABLE);
	assert_int_equal(pageout_foresee(MAPPED, PAGE_SWAPPED), FATE_OUT_BEFORE);
	assert_int_equal(pageout_foresee(MAPPED, PAGE_SWAP_CACHE), FATE_CACHED_BEFORE);
	assert_int_equal(pageout_foresee(MAPPED, PAGE_HOLE), FATE_ABSENT);
	assert_int_equal(pageout_foresee(MAPPED, PAGE_UNKNOWN), FATE_UNDETERMINED);
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < FATE_MAX; i++) {
		assert_non_null(pageout_fate_to_string((enum pageout_fate)i));
		assert_non_null(pageout_fate_to_text((enum pageout_fate)i));
	}
}

/* ---- ranges --------------------------------------------------------------------------------- */

struct reading {
	char *text;
	struct range_list list;
};

static int read_text(void *context)
{
	struct reading *r = context;

	return range_list_parse("F", r->text, &r->list);
}

static struct reading parse(const char *text, int expected, char **ret_err)
{
	struct reading r = {.text = strdup(text)};
	char *out;
	int code = capture(read_text, &r, &out, NULL, ret_err);

	if (code != expected || out[0])
		fail_msg("\"%s\": code %d, said %s%s", text, code, out, *ret_err);
	free(out);
	free(r.text);
	return r;
}

/* The ranges as "first+count first+count". */
static void check_ranges(const char *text, const char *expected)
{
	char *err, got[256] = "";
	struct reading r = parse(text, 0, &err);

	for (size_t i = 0; i < r.list.n_items; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%llu+%llu", i ? " " : "",
			 (unsigned long long)r.list.items[i].first,
			 (unsigned long long)r.list.items[i].count);
	assert_string_equal(err, "");
	assert_string_equal(got, expected);
	range_list_done(&r.list);
	free(err);
}

static void test_lines(void **state)
{
	(void)state;
	check_ranges("", "");
	check_ranges("\n\n", "");
	check_ranges("5,3\n", "5+3");
	check_ranges("5,3", "5+3");
	check_ranges("first,count,state\n0,2,present\n9,1,present\n", "0+2 9+1");
	check_ranges("first,count\n", "");
	check_ranges("first,count,address\r\n5,3,7f0000000000\r\n", "5+3");
	check_ranges("1,1,\n3,1,a,b,c\n", "1+1 3+1");
	/* In order, and each page once. */
	check_ranges("9,1\n0,2\n5,3\n", "0+2 5+3 9+1");
	check_ranges("0,4\n2,1\n", "0+4");
	check_ranges("0,4\n2,9\n", "0+11");
	check_ranges("0,4\n4,4\n8,1\n", "0+9");
	check_ranges("3,2\n3,2\n", "3+2");
	check_ranges("0,18446744073709551615\n", "0+18446744073709551615");
}

static void test_json(void **state)
{
	(void)state;
	check_ranges("{\"ranges\":[]}", "");
	check_ranges(
		"{\"object\":\"00:01:25\",\"ranges\":[{\"first\":5,\"count\":3,\"address\":null}]}",
		"5+3");
	check_ranges(" \n{\"ranges\":[\n{\"first\":9,\"count\":1,\"address\":4096},\n"
		     "{\"first\":0,\"count\":1}]}\n",
		     "0+1 9+1");
	check_ranges("{\"extents\":[{\"first\":5,\"count\":3,\"state\":\"present\"}]}", "5+3");
	/* Several. */
	check_ranges("{\"ranges\":[{\"first\":5,\"count\":3}]}\n{\"ranges\":[]}"
		     "{\"ranges\":[{\"first\":0,\"count\":1}]}\n",
		     "0+1 5+3");
}

static void refused(const char *text, const char *expected_err)
{
	char *err;
	struct reading r = parse(text, EXIT_USAGE, &err);

	assert_int_equal(r.list.n_items, 0);
	assert_int_equal(count_lines(err), 1);
	if (strncmp(err, "shmstatectl: --ranges=F: ", 25) != 0 ||
	    strncmp(err + 25, expected_err, strlen(expected_err)) != 0)
		fail_msg("\"%s\": said \"%s\", expected \"%s\"", text, err, expected_err);
	free(err);
}

static void test_bad_lines(void **state)
{
	static const char *const lines[] = {
		"5",
		"5,",
		",5",
		"5,0",
		"-1,5",
		"5, 3",
		" 5,3",
		"a,b",
		"5;3",
		"18446744073709551615,1",
		"5+3",
		"0x5,1",
		"1,18446744073709551616",
		"first,count",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char text[128], expected[128];

		snprintf(text, sizeof(text), "0,1\n%s\n2,1\n", lines[i]);
		snprintf(expected, sizeof(expected),
			 "line 2: \"%s\": expected FIRST,COUNT, in pages\n", lines[i]);
		refused(text, expected);
	}
	refused("count,first\n1,2\n", "line 1: \"count,first\": expected");
	refused("\033[31m,1\n", "line 1: \"\\x1b[31m,1\": expected");
}

static void test_bad_json(void **state)
{
	(void)state;
	refused("{\"ranges\":[{\"first\":5,\"count\":3}", "line 1: ");
	refused("{\"ranges\":\n[{\"first\":5,,}]}", "line 2: ");
	refused("{\"ranges\":[]} x", "line 1: ");
	refused("{\"ranges\":[]}\n5,3\n", "expected a JSON object with an array \"ranges\"");
	refused("{}", "expected a JSON object with an array \"ranges\"\n");
	refused("[]", "expected a JSON object with an array \"ranges\"\n");
	refused("{\"ranges\":{}}", "expected a JSON object with an array");
	refused("{\"ranges\":[{\"first\":0,\"count\":1},{\"first\":5}]}",
		"range 2: { \"first\": 5 }: expected an object with \"first\" and \"count\"");
	refused("{\"ranges\":[{\"first\":-1,\"count\":1}]}", "range 1: ");
	refused("{\"ranges\":[{\"first\":1,\"count\":0}]}", "range 1: ");
	refused("{\"ranges\":[{\"first\":1.5,\"count\":1}]}", "range 1: ");
	refused("{\"ranges\":[{\"first\":\"1\",\"count\":1}]}", "range 1: ");
	refused("{\"ranges\":[5]}", "range 1: 5: expected");
	refused("{\"object\":\"x\",\"ranges\":[]}", "object \"x\": expected an object id\n");
	refused("{\"object\":\"0:1:5\",\"ranges\":[]}{\"object\":\"0:1:6\",\"ranges\":[]}",
		"object \"0:1:6\": expected ranges of one object\n");
}

static void test_object_named(void **state)
{
	char *err;
	struct reading r = parse("{\"object\":\"00:01:25\",\"ranges\":[]}", 0, &err);

	(void)state;
	assert_true(r.list.have_id);
	assert_int_equal(r.list.id.ino, 25);
	range_list_done(&r.list);
	free(err);
	r = parse("{\"ranges\":[]}", 0, &err);
	assert_false(r.list.have_id);
	range_list_done(&r.list);
	free(err);
}

static void test_pages(void **state)
{
	struct range_list l = {0};

	(void)state;
	assert_int_equal(range_list_pages(&l), 0);
	range_list_sort(&l);
	assert_int_equal(range_list_add(&l, (struct page_range){10, 5}), 0);
	assert_int_equal(range_list_add(&l, (struct page_range){0, 2}), 0);
	range_list_sort(&l);
	assert_int_equal(range_list_pages(&l), 7);
	assert_int_equal(l.items[0].first, 0);
	range_list_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tell),         cmocka_unit_test(test_every_fact),
		cmocka_unit_test(test_foresee),      cmocka_unit_test(test_names),
		cmocka_unit_test(test_lines),        cmocka_unit_test(test_json),
		cmocka_unit_test(test_bad_lines),    cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_object_named), cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
