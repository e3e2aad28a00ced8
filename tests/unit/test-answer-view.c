/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>

#include "json/get.h"
#include "serve/answer.h"

/* A view of two objects. What it says is each test's matter. */
static struct result *new_result(void)
{
	struct result *r = result_new();

	assert_non_null(r);
	r->view.pid = 4711;
	r->view.page_size = 4096;
	r->view.snapshots = calloc(2, sizeof(*r->view.snapshots));
	assert_non_null(r->view.snapshots);
	r->view.n_snapshots = 2;
	for (size_t i = 0; i < 2; i++) {
		r->view.snapshots[i].stable = true;
		r->view.snapshots[i].probe = "walk";
	}
	return r;
}

/* The parameters of the only reply; takes the result. */
static struct json_object *answer(struct result *r)
{
	struct question q = {.method = METHOD_GET_PAGEMAP, .fd = -1, .states = UINT32_MAX};
	struct json_object *whole, *parameters = NULL;
	struct answer a;

	q.encoding = r->words_fd >= 0 ? ENCODING_FILE_DESCRIPTOR : ENCODING_EXTENTS;
	answer_init(&a, &q, r, 1 << 20);
	assert_int_equal(answer_make(&a, 1 << 20), 0);
	assert_true(a.finished);
	whole = json_tokener_parse(STAILQ_FIRST(&a.replies)->data);
	assert_true(json_get(whole, "parameters", json_type_object, &parameters));
	json_object_get(parameters);
	json_object_put(whole);
	answer_done(&a);
	result_unref(r);
	return parameters;
}

static size_t count_reasons(struct json_object *j)
{
	struct json_object *reasons = NULL;

	assert_true(json_get(j, "reasons", json_type_array, &reasons));
	return json_object_array_length(reasons);
}

static void check_complete(struct json_object *j, bool complete)
{
	bool incomplete;

	assert_true(json_get_bool(j, "incomplete", &incomplete));
	assert_int_equal(incomplete, !complete);
	assert_int_equal(count_reasons(j) > 0, !complete);
	json_object_put(j);
}

/* Who is told that something is missing is told why. */
static void test_reasons(void **state)
{
	struct result *r;

	(void)state;
	check_complete(answer(new_result()), true);

	r = new_result();
	r->words_fd = memfd_create("test", MFD_CLOEXEC);
	check_complete(answer(r), true);

	r = new_result();
	r->words_fd = memfd_create("test", MFD_CLOEXEC);
	r->undetermined = 1;
	check_complete(answer(r), false);

	r = new_result();
	r->undetermined = 1;
	r->own_undetermined = true;
	check_complete(answer(r), false);

	r = new_result();
	r->denied = true;
	check_complete(answer(r), false);

	r = new_result();
	r->view.snapshots[1].reasons = SNAPSHOT_KEPT_MOVING;
	check_complete(answer(r), false);
}

static void check_stable(struct result *r, bool stable, uint64_t moved)
{
	struct json_object *j = answer(r);
	bool told;
	uint64_t n;

	assert_true(json_get_bool(j, "stable", &told));
	assert_true(json_get_number(j, "movedPages", &n));
	assert_int_equal(told, stable);
	assert_int_equal(n, moved);
	json_object_put(j);
}

/* That nothing was seen to move does not say that a second look was taken. */
static void test_stable(void **state)
{
	struct result *r;

	(void)state;
	check_stable(new_result(), true, 0);

	r = new_result();
	r->view.snapshots[1].stable = false;
	check_stable(r, false, 0);

	r = new_result();
	r->view.snapshots[0].stable = r->view.snapshots[1].stable = false;
	r->view.snapshots[0].moved = 3;
	r->view.snapshots[1].moved = 4;
	check_stable(r, false, 7);
}

/* The error has all that the interface says. */
static void test_no_descriptor(void **state)
{
	struct question q = {
		.method = METHOD_GET_PAGEMAP, .fd = -1, .encoding = ENCODING_FILE_DESCRIPTOR};
	struct json_object *whole, *parameters = NULL;
	struct result *r = new_result();
	const char *text;
	struct answer a;
	uint64_t n;

	(void)state;
	/* None to be had, and so none to be copied. */
	answer_init(&a, &q, r, 1 << 20);
	assert_int_equal(answer_make(&a, 1 << 20), 0);
	whole = json_tokener_parse(STAILQ_FIRST(&a.replies)->data);
	assert_true(json_get_text(whole, "error", &text));
	assert_string_equal(text, "io.shmstate.Failed");
	assert_true(json_get(whole, "parameters", json_type_object, &parameters));
	assert_true(json_get_number(parameters, "errno", &n));
	assert_int_equal(n, EBADF);
	assert_true(json_get_text(parameters, "reason", &text));
	assert_string_equal(text, strerror(EBADF));
	json_object_put(whole);
	answer_done(&a);
	result_unref(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
