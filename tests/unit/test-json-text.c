/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts of tests/data/json: y_ is JSON, n_ is not, of i_ it only has to be told. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/json-text.h"
#include "unit.h"

#define DEPTH 16

static char *read_text(const char *folder, const char *name, size_t *ret_length)
{
	char path[512], *text;
	long length;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	length = ftell(f);
	assert_true(length >= 0);
	rewind(f);
	/* of just that length, for sanitizers to see a step too far */
	text = malloc((size_t)length + !length);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)length, f), length);
	(void)fclose(f);
	*ret_length = (size_t)length;
	return text;
}

static void test_corpus(void **state)
{
	const char *source = getenv("srcdir");
	char folder[256];
	struct dirent *entry;
	unsigned n = 0;
	DIR *d;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/tests/data/json", source ? source : ".");
	d = opendir(folder);
	assert_non_null(d);
	while ((entry = readdir(d))) {
		const char *name = entry->d_name;
		size_t length;
		char *text;
		bool valid;

		if (!strstr(name, ".json"))
			continue;
		text = read_text(folder, name, &length);
		valid = json_text_is_valid(text, length, DEPTH);
		if (name[0] != 'i' && valid != (name[0] == 'y'))
			fail_msg("%s was %s", name, valid ? "taken" : "refused");
		free(text);
		n++;
	}
	closedir(d);
	assert_true(n > 100);
}

static void test_bytes(void **state)
{
	(void)state;
	/* each byte, alone, behind a backslash, and as a string */
	for (int c = 0; c < 256; c++) {
		char alone[] = {(char)c}, string[] = {'"', (char)c, '"'};
		char escape[] = {'"', '\\', (char)c, '"'};

		assert_int_equal(json_text_is_valid(alone, 1, DEPTH), c >= '0' && c <= '9');
		assert_int_equal(json_text_is_valid(string, 3, DEPTH),
				 c >= 0x20 && c < 0x80 && c != '"' && c != '\\');
		assert_int_equal(json_text_is_valid(escape, 4, DEPTH),
				 c != 0 && strchr("\"\\/bfnrt", c) != NULL);
	}
}

static void test_depth(void **state)
{
	(void)state;
	assert_true(json_text_is_valid("[[1]]", 5, 2));
	assert_false(json_text_is_valid("[[1]]", 5, 1));
	assert_true(json_text_is_valid("{\"a\":{}}", 8, 2));
	assert_false(json_text_is_valid("{\"a\":{}}", 8, 1));
	assert_true(json_text_is_valid("1", 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpus),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
