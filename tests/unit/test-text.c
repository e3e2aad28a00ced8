/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "util/text.h"

static void test_escape(void **state)
{
	static const struct {
		const char *raw, *escaped;
	} cases[] = {
		{"", ""},
		{"guest-ram 0", "guest-ram 0"},
		{"~!\"#$%&'()", "~!\"#$%&'()"},
		{"a\nb", "a\\x0ab"},
		{"\t\r\x1f\x7f", "\\x09\\x0d\\x1f\\x7f"},
		{"\033[31mred", "\\x1b[31mred"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* two bytes */
		{"\xe2\x82\xac", "\xe2\x82\xac"},             /* three */
		{"\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7"},     /* four */
		{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},     /* the last code point */
		{"\xc2\x85", "\\xc2\\x85"},                   /* U+0085, a control */
		{"\xc2\x9bm", "\\xc2\\x9bm"},                 /* U+009B starts a sequence */
		{"\xc2\xa0", "\xc2\xa0"},
		{"\xff\xfe", "\\xff\\xfe"},
		{"\x80", "\\x80"},
		{"\xc3", "\\xc3"}, /* cut short */
		{"\xe2\x82", "\\xe2\\x82"},
		{"\xe2\x82z", "\\xe2\\x82z"},
		{"\xc0\xaf", "\\xc0\\xaf"}, /* overlong */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
		{"\xf0\x82\x82\xac", "\\xf0\\x82\\x82\\xac"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* half of a surrogate pair */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond the last */
		{"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *escaped = text_escape(cases[i].raw), *raw;

		assert_string_equal(escaped, cases[i].escaped);
		raw = text_unescape(escaped);
		assert_string_equal(raw, cases[i].raw);
		free(raw);
		free(escaped);
	}
}

/* Any bytes: nothing that a terminal obeys comes out. */
static void test_escape_random(void **state)
{
	struct random random = {.state = 4};

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char raw[17];
		size_t n = random_below(&random, sizeof(raw));
		char *escaped, *back;

		for (size_t k = 0; k < n; k++)
			raw[k] = (char)(1 + random_below(&random, 255));
		raw[n] = '\0';
		escaped = text_escape(raw);
		assert_non_null(escaped);
		for (const unsigned char *p = (unsigned char *)escaped; *p; p++) {
			assert_true(*p >= 0x20 && *p != 0x7f);
			assert_false(p[0] == 0xc2 && p[1] < 0xa0);
		}
		back = text_unescape(escaped);
		assert_string_equal(back, raw);
		free(back);
		free(escaped);
	}
}

/* What text_escape() does not write. */
static void test_unescape(void **state)
{
	static const char *const same[] = {"\\",    "\\x",   "\\x4",  "\\xg1",
					   "\\x1G", "\\x00", "\\y41", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		char *raw = text_unescape(same[i]);

		assert_string_equal(raw, same[i]);
		free(raw);
	}
}

static void test_size(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1, "1B"},
		{1023, "1023B"},
		{1024, "1K"},
		{1536, "1.5K"},
		{4096, "4K"},
		{1024 * 1024 - 1, "1023K"}, /* cut, not rounded: never more than there is */
		{1024 * 1024, "1M"},
		{UINT64_C(1288490188), "1.1G"},
		{UINT64_C(2) << 40, "2T"},
		{UINT64_C(100) << 30, "100G"},
		{(UINT64_C(100) << 30) + (UINT64_C(512) << 20), "100G"},
		{(UINT64_C(99) << 30) + (UINT64_C(512) << 20), "99.5G"},
		{UINT64_C(1) << 50, "1P"},
		{UINT64_C(1) << 60, "1E"},
		{UINT64_MAX, "15.9E"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[TEXT_SIZE_MAX], exact[TEXT_SIZE_MAX];

		assert_string_equal(text_size(cases[i].bytes, false, buf), cases[i].text);
		snprintf(exact, sizeof(exact), "%llu", (unsigned long long)cases[i].bytes);
		assert_string_equal(text_size(cases[i].bytes, true, buf), exact);
	}
}

static void test_errors(void **state)
{
	static const int errors[] = {-EACCES, -EPERM, -ENOENT, -ESRCH, -EOPNOTSUPP, -ENOMEM, -EIO};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const char *text = text_error(errors[i]);

		assert_true(strlen(text) > 0);
		assert_null(strchr(text, '\n'));
	}
	/* The one that must not be taken for a mere "permission denied". */
	assert_string_not_equal(text_error(-EPERM), text_error(-EACCES));
	assert_string_equal(text_error(-ENOMEM), strerror(ENOMEM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),   cmocka_unit_test(test_escape_random),
		cmocka_unit_test(test_unescape), cmocka_unit_test(test_size),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
