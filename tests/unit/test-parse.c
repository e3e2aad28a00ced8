/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>

#include "util/parse.h"

#define PAGE UINT64_C(4096)
#define UNTOUCHED UINT64_C(0xdeadbeef)

static const struct {
	const char *text;
	int base;
	int result;
	uint64_t value;
} numbers[] = {
	{"0", 10, 0, 0},
	{"00", 10, 0, 0},
	{"7", 10, 0, 7},
	{"18446744073709551615", 10, 0, UINT64_MAX},
	{"18446744073709551616", 10, -ERANGE, 0},
	{"99999999999999999999999", 10, -ERANGE, 0},
	{"", 10, -EINVAL, 0},
	{" 1", 10, -EINVAL, 0},
	{"1 ", 10, -EINVAL, 0},
	{"+1", 10, -EINVAL, 0},
	{"-1", 10, -EINVAL, 0},
	{"1x", 10, -EINVAL, 0},
	{"a", 10, -EINVAL, 0},
	{"0x10", 10, -EINVAL, 0},
	{"1.5", 10, -EINVAL, 0},
	{"1e3", 10, -EINVAL, 0},
	{"\n1", 10, -EINVAL, 0},
	{"1\n", 10, -EINVAL, 0},
	{"\xd9\xa1", 10, -EINVAL, 0}, /* an Arabic digit */
	{"ff", 16, 0, 0xff},
	{"FF", 16, 0, 0xff},
	{"0xff", 16, 0, 0xff},
	{"7ffe12345000", 16, 0, UINT64_C(0x7ffe12345000)},
	{"ffffffffffffffff", 16, 0, UINT64_MAX},
	{"10000000000000000", 16, -ERANGE, 0},
	{"0x", 16, -EINVAL, 0},
	{"x1", 16, -EINVAL, 0},
	{"0xg", 16, -EINVAL, 0},
	{"-f", 16, -EINVAL, 0},
	{"", 16, -EINVAL, 0},
};

static void test_u64(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t v = UNTOUCHED;
		int r = parse_u64(numbers[i].text, numbers[i].base, &v);

		if (r != numbers[i].result || v != (r < 0 ? UNTOUCHED : numbers[i].value))
			fail_msg("\"%s\" (base %d): %d, %llu", numbers[i].text, numbers[i].base, r,
				 (unsigned long long)v);
	}
}

static const struct {
	const char *text;
	int min;
	int result;
	int value;
} ints[] = {
	{"0", 0, 0, 0},
	{"0", 1, -EINVAL, 0},
	{"1", 1, 0, 1},
	{"2147483647", 0, 0, INT32_MAX},
	{"2147483648", 0, -ERANGE, 0},
	{"4294967297", 0, -ERANGE, 0},
	{"18446744073709551616", 0, -ERANGE, 0},
	{"-1", 0, -EINVAL, 0},
	{"", 0, -EINVAL, 0},
	{"self", 1, -EINVAL, 0},
	{"1 2", 0, -EINVAL, 0},
};

static void test_int(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ints); i++) {
		int v = -77, r = parse_int(ints[i].text, ints[i].min, &v);

		if (r != ints[i].result || v != (r < 0 ? -77 : ints[i].value))
			fail_msg("\"%s\" (at least %d): %d, %d", ints[i].text, ints[i].min, r, v);
	}
}

static const struct {
	const char *text;
	int result;
	uint64_t value;
} sizes[] = {
	{"0", 0, 0},
	{"4096", 0, 4096},
	{"4K", 0, 4096},
	{"4k", 0, 4096},
	{"1M", 0, UINT64_C(1) << 20},
	{"3G", 0, UINT64_C(3) << 30},
	{"1T", 0, UINT64_C(1) << 40},
	{"16777215T", 0, UINT64_C(16777215) << 40},
	{"16777216T", -ERANGE, 0},
	{"18446744073709551616", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"K", -EINVAL, 0},
	{"4KB", -EINVAL, 0},
	{"4KK", -EINVAL, 0},
	{"4 K", -EINVAL, 0},
	{"-4K", -EINVAL, 0},
	{"1.5M", -EINVAL, 0},
	{"4P", -EINVAL, 0},
};

static void test_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t v = UNTOUCHED;
		int r = parse_bytes(sizes[i].text, &v);

		if (r != sizes[i].result || v != (r < 0 ? UNTOUCHED : sizes[i].value))
			fail_msg("\"%s\": %d, %llu", sizes[i].text, r, (unsigned long long)v);
	}
}

struct range_case {
	const char *text;
	int result;
	uint64_t first, count;
};

typedef int (*range_parser)(const char *s, uint64_t page_size, struct page_range *ret);

static void check_ranges(range_parser parse, uint64_t page_size, const struct range_case *cases,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct range_case *c = &cases[i];
		struct page_range range = {UNTOUCHED, UNTOUCHED};
		uint64_t first = c->result < 0 ? UNTOUCHED : c->first;
		uint64_t count = c->result < 0 ? UNTOUCHED : c->count;
		int r = parse(c->text, page_size, &range);

		if (r != c->result || range.first != first || range.count != count)
			fail_msg("\"%s\": %d, %llu+%llu", c->text, r,
				 (unsigned long long)range.first, (unsigned long long)range.count);
	}
}

static void test_page_range(void **state)
{
	static const struct range_case cases[] = {
		/* pages */
		{"0+1", 0, 0, 1},
		{"5+10", 0, 5, 10},
		{"0+18446744073709551615", 0, 0, UINT64_MAX},
		{"1+18446744073709551614", 0, 1, UINT64_MAX - 1},
		{"1+18446744073709551615", -ERANGE, 0, 0},
		{"18446744073709551615+1", -ERANGE, 0, 0},
		{"18446744073709551616+1", -ERANGE, 0, 0},
		{"0+0", -EINVAL, 0, 0},
		/* both ends included */
		{"0-0", 0, 0, 1},
		{"5-9", 0, 5, 5},
		{"5-5", 0, 5, 1},
		{"5-4", -EINVAL, 0, 0},
		{"0-18446744073709551614", 0, 0, UINT64_MAX},
		{"0-18446744073709551615", -ERANGE, 0, 0},
		{"1-18446744073709551615", -ERANGE, 0, 0},
		/* bytes */
		{"4K+4K", 0, 1, 1},
		{"4k+8k", 0, 1, 2},
		{"1M+1M", 0, 256, 256},
		{"1m-2m", 0, 256, 257},
		{"1G+1", 0, 262144, 1},
		{"1T+1G", 0, UINT64_C(268435456), 262144},
		{"0+2T", 0, 0, UINT64_C(536870912)},
		{"0+1K", 0, 0, 1}, /* a part of a page is a page */
		{"0+5K", 0, 0, 2},
		{"5K+4K", 0, 1, 1}, /* the page that holds that byte */
		{"3K-4K", 0, 0, 2}, /* byte 4096 is in page 1 */
		{"1K-3K", 0, 0, 1},
		{"0K+0K", -EINVAL, 0, 0},
		{"2-1M", 0, 2, 255}, /* each end has its own unit */
		{"16777215T+1", 0, UINT64_C(16777215) << 28, 1},
		{"16777216T+1", -ERANGE, 0, 0},
		{"0+16777216T", -ERANGE, 0, 0},
		{"0+18446744073709551615K", -ERANGE, 0, 0},
		/* neither */
		{"", -EINVAL, 0, 0},
		{"5", -EINVAL, 0, 0},
		{"+", -EINVAL, 0, 0},
		{"-", -EINVAL, 0, 0},
		{"5+", -EINVAL, 0, 0},
		{"5-", -EINVAL, 0, 0},
		{"+5", -EINVAL, 0, 0},
		{"-5", -EINVAL, 0, 0},
		{"5+-1", -EINVAL, 0, 0},
		{"5--1", -EINVAL, 0, 0},
		{"5++1", -EINVAL, 0, 0},
		{"1+2+3", -EINVAL, 0, 0},
		{"1-2-3", -EINVAL, 0, 0},
		{" 1+2", -EINVAL, 0, 0},
		{"1 +2", -EINVAL, 0, 0},
		{"1+ 2", -EINVAL, 0, 0},
		{"1+2 ", -EINVAL, 0, 0},
		{"1P+1", -EINVAL, 0, 0},
		{"1KB+1", -EINVAL, 0, 0},
		{"1KK+1", -EINVAL, 0, 0},
		{"K+1", -EINVAL, 0, 0},
		{"0+K", -EINVAL, 0, 0},
		{"0x10+1", -EINVAL, 0, 0},
		{"1:2", -EINVAL, 0, 0},
		{"all", -EINVAL, 0, 0},
	};

	(void)state;
	check_ranges(parse_page_range, PAGE, cases, ARRAY_SIZE(cases));
}

static void test_page_range_of_large_pages(void **state)
{
	static const struct range_case cases[] = {
		{"1+1", 0, 1, 1},   {"64K+64K", 0, 1, 1}, {"4K+4K", 0, 0, 1},
		{"0+65K", 0, 0, 2}, {"1M-2M", 0, 16, 17},
	};

	(void)state;
	check_ranges(parse_page_range, 65536, cases, ARRAY_SIZE(cases));
}

static void test_address_range(void **state)
{
	static const struct range_case cases[] = {
		{"7f0000000000-7f0000001000", 0, UINT64_C(0x7f0000000), 1}, /* END not included */
		{"0x7f0000000000-0x7f0000002000", 0, UINT64_C(0x7f0000000), 2},
		{"1000-3000", 0, 1, 2},
		{"0-1000", 0, 0, 1},
		{"0-fffffffffffff000", 0, 0, UINT64_C(0xfffffffffffff)},
		{"1000+5", 0, 1, 5}, /* a length in pages, decimal */
		{"1000+10", 0, 1, 10},
		{"1000+16K", 0, 1, 4},
		{"1000+1K", 0, 1, 1},
		{"1000+1G", 0, 1, 262144},
		{"1000-1000", -EINVAL, 0, 0},
		{"2000-1000", -EINVAL, 0, 0},
		{"1001-2000", -EINVAL, 0, 0}, /* not on page borders */
		{"1000-2001", -EINVAL, 0, 0},
		{"1234+1", -EINVAL, 0, 0},
		{"1000+0", -EINVAL, 0, 0},
		{"1000+0K", -EINVAL, 0, 0},
		{"1000+a", -EINVAL, 0, 0},
		{"1000+0x1", -EINVAL, 0, 0},
		{"1000", -EINVAL, 0, 0},
		{"1000-", -EINVAL, 0, 0},
		{"-1000", -EINVAL, 0, 0},
		{"", -EINVAL, 0, 0},
		{"1000-2000-3000", -EINVAL, 0, 0},
		{"1000 -2000", -EINVAL, 0, 0},
		{"g000-2000", -EINVAL, 0, 0},
		{"4K-8K", -EINVAL, 0, 0},
		{"10000000000000000-20000000000000000", -ERANGE, 0, 0},
		{"1000+18446744073709551615", -ERANGE, 0, 0},
	};

	(void)state;
	check_ranges(parse_address_range, PAGE, cases, ARRAY_SIZE(cases));
}

/* Whatever is typed: 0 and a range of at least one page that does not wrap, or an error. */
static void test_random_input(void **state)
{
	static const char letters[] = "0123456789+-KMGTx ";
	struct random random = {.state = 1};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct page_range range = {0};
		char text[12];
		size_t n = random_below(&random, sizeof(text));

		for (size_t k = 0; k < n; k++)
			text[k] = letters[random_below(&random, sizeof(letters) - 1)];
		text[n] = '\0';
		if (parse_page_range(text, PAGE, &range) == 0)
			assert_true(range.count > 0 && range.first + range.count > range.first);
		range = (struct page_range){0};
		if (parse_address_range(text, PAGE, &range) == 0)
			assert_true(range.count > 0 && range.first + range.count > range.first);
	}
}

static void test_time(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"0", 0},         {"7", 7000},     {"250ms", 250},  {"60s", 60000},
		    {"3min", 180000}, {"2h", 7200000}, {"1d", 86400000}};
	static const char *const bad[] = {"",
					  "s",
					  "-1s",
					  "+1",
					  " 1",
					  "1 s",
					  "1.5s",
					  "1m",
					  "1sec",
					  "99999999999999999999",
					  "18446744073709551615d"};
	uint64_t ms = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_time(bad[i], &ms), -EINVAL);
	assert_int_equal(ms, 5);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_time(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_page_range),
		cmocka_unit_test(test_page_range_of_large_pages),
		cmocka_unit_test(test_address_range),
		cmocka_unit_test(test_random_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
