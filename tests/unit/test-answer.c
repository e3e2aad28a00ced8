/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What replies are made of results that are made up. */

#include "unit.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "json/get.h"
#include "lib/shmstate/pagemap.h"
#include "probe/pagemap.h"
#include "serve/answer.h"

#define MESSAGE_BYTES 65536

/* What the public header says of words. */
_Static_assert(SHMSTATE_PAGEMAP_PRESENT == PAGEMAP_PRESENT, "present");
_Static_assert(SHMSTATE_PAGEMAP_SWAP == PAGEMAP_SWAP, "swap");
_Static_assert(SHMSTATE_PAGEMAP_FILE == PAGEMAP_FILE, "file");
_Static_assert(SHMSTATE_PAGEMAP_FRAME_MASK == PAGEMAP_FRAME_MASK, "frame");
_Static_assert(SHMSTATE_PAGEMAP_SLOT_SHIFT == PAGEMAP_OFFSET_SHIFT, "slot");

/* The only reply, parsed. */
static struct json_object *answer_one(const struct question *q, struct result *r)
{
	struct json_object *j;
	struct answer a;

	answer_init(&a, q, r, MESSAGE_BYTES);
	assert_int_equal(answer_make(&a, SIZE_MAX), 0);
	assert_non_null(STAILQ_FIRST(&a.replies));
	assert_null(STAILQ_NEXT(STAILQ_FIRST(&a.replies), link));
	j = json_tokener_parse(STAILQ_FIRST(&a.replies)->data);
	assert_non_null(j);
	answer_done(&a);
	return j;
}

static struct json_object *parameters_of(struct json_object *reply)
{
	struct json_object *parameters = NULL;

	assert_true(json_get(reply, "parameters", json_type_object, &parameters));
	return parameters;
}

/* Failed has both of what the interface says that it has. */
static void test_failed(void **state)
{
	struct question q = {.method = METHOD_GET_PAGEMAP, .encoding = ENCODING_FILE_DESCRIPTOR};
	struct result *r = result_new(); /* without a descriptor */
	struct json_object *reply = answer_one(&q, r);
	uint64_t number;
	const char *text;

	(void)state;
	assert_true(json_get_text(reply, "error", &text));
	assert_string_equal(text, "io.shmstate.Failed");
	assert_true(json_get_number(parameters_of(reply), "errno", &number));
	assert_int_equal(number, EBADF);
	assert_true(json_get_text(parameters_of(reply), "reason", &text));
	assert_string_equal(text, strerror(EBADF));
	json_object_put(reply);
	result_unref(r);
}

static struct json_object *pagemap(const char *const *probes, size_t n, uint64_t runs_end)
{
	struct question q = {.method = METHOD_GET_PAGEMAP, .encoding = ENCODING_EXTENTS};
	struct result *r = result_new();
	struct json_object *reply;

	r->runs_end = runs_end;
	r->view.snapshots = calloc(n + 1, sizeof(*r->view.snapshots));
	r->view.n_snapshots = n;
	for (size_t i = 0; i < n; i++)
		r->view.snapshots[i].probe = probes[i];
	reply = answer_one(&q, r);
	result_unref(r);
	return reply;
}

/* The probe is told if it was the same for all. */
static void test_pagemap_probe(void **state)
{
	static const char *const probes[] = {"walk", "walk", "portable"};
	static const char *const expected[] = {NULL, "walk", "walk", NULL};

	(void)state;
	for (size_t n = 0; n <= 3; n++) {
		struct json_object *reply = pagemap(probes, n, 0);
		const char *text = NULL;

		json_get_text(parameters_of(reply), "probe", &text);
		if (expected[n])
			assert_string_equal(text, expected[n]);
		else
			assert_null(text);
		json_object_put(reply);
	}
}

/* A look that told of as much as it may says so in its last reply. */
static void test_pagemap_next(void **state)
{
	struct json_object *reply = pagemap(NULL, 0, 4711);
	uint64_t next = 0;

	(void)state;
	assert_true(json_get_number(parameters_of(reply), "next", &next));
	assert_int_equal(next, 4711);
	json_object_put(reply);
	reply = pagemap(NULL, 0, 0);
	assert_false(json_get_number(parameters_of(reply), "next", &next));
	json_object_put(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_pagemap_probe),
		cmocka_unit_test(test_pagemap_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
