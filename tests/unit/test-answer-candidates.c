/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is told of candidates and of what came back, from results that are made up. */

#include "unit.h"

#include <json-c/json.h>
#include <string.h>

#include "json/get.h"
#include "serve/answer.h"
#include "util/util.h"

#define PAGE UINT64_C(4096)
#define NOW (UINT64_C(1000) * 1000000000)
#define SECOND UINT64_C(1000000000)
#define PAGES UINT64_C(1000)

/* All pages present but every tenth; 100 to 199 came back 30 s ago. */
static struct result *make_result(void)
{
	static struct object object = {.id = {.dev = 1, .ino = 25}, .kind = OBJECT_MEMFD};
	struct snapshot s = {.page_size = PAGE, .size = PAGES * PAGE, .count = PAGES};
	struct page_range back = {100, 100};
	struct result *r = result_new();

	assert_non_null(r);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(
			state_map_append(&s.map, 1, page % 10 == 9 ? PAGE_SWAPPED : PAGE_PRESENT),
			0);
	memcpy(s.counts, s.map.counts, sizeof(s.counts));
	s.probe = "walk";
	s.stable = true;
	r->generation = generation_new(&s, NOW, NOW);
	assert_non_null(r->generation);
	r->snapshot = r->generation->snapshot;
	r->object = &object;
	r->comebacks.observed = r->comebacks.known = NOW - 50 * SECOND;
	assert_int_equal(
		refaults_note(&r->comebacks.refaults, &back, 1, refault_time(NOW - 30 * SECOND), 0),
		0);
	r->followed = true;
	return r;
}

static struct question ask_candidates(unsigned age)
{
	return (struct question){.method = METHOD_FIND_CANDIDATES,
				 .range = {0, UINT64_MAX},
				 .age = age,
				 .max_pages = UINT64_MAX,
				 .more = true};
}

/* Parameters of each reply; returns how many there are. */
static size_t answer_all(const struct question *q, struct result *r, size_t message_bytes,
			 struct json_object **replies, size_t max)
{
	struct reply *reply;
	struct answer a;
	size_t n = 0;

	answer_init(&a, q, r, message_bytes);
	assert_int_equal(answer_make(&a, SIZE_MAX), 0);
	STAILQ_FOREACH (reply, &a.replies, link) {
		struct json_object *j = json_tokener_parse(reply->data);

		assert_true(reply->length <= message_bytes && n < max);
		assert_true(json_get(j, "parameters", json_type_object, &replies[n]));
		json_object_get(replies[n++]);
		json_object_put(j);
	}
	answer_done(&a);
	return n;
}

static struct json_object *answer_one(const struct question *q, struct result *r)
{
	struct json_object *j;

	assert_int_equal(answer_all(q, r, 1 << 20, &j, 1), 1);
	return j;
}

static uint64_t number(struct json_object *j, const char *key)
{
	uint64_t n = 0;

	if (!json_get_number(j, key, &n))
		fail_msg("%s: no number in %s", key, json_object_to_json_string(j));
	return n;
}

static bool is_null(struct json_object *j, const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(j, key, &value));
	return !value;
}

static bool is_incomplete(struct json_object *j)
{
	bool b = false;

	assert_true(json_get_bool(j, "incomplete", &b));
	return b;
}

static size_t count_items(struct json_object *j, const char *key)
{
	struct json_object *array = NULL;

	assert_true(json_get(j, key, json_type_array, &array));
	return json_object_array_length(array);
}

static void test_proven(void **state)
{
	struct question q = ask_candidates(40);
	struct result *r = make_result();
	struct json_object *j = answer_one(&q, r);

	(void)state;
	assert_int_equal(number(j, "presentPages"), 900);
	assert_int_equal(number(j, "candidatePages"), 810);
	assert_int_equal(number(j, "recentPages"), 90);
	assert_int_equal(number(j, "unprovenPages"), 0);
	assert_int_equal(number(j, "followedSeconds"), 50);
	assert_int_equal(count_items(j, "ranges"), 90);
	assert_true(is_null(j, "provenInSeconds") && is_null(j, "accessInformation"));
	assert_true(is_null(j, "next") && is_null(j, "process"));
	assert_false(is_null(j, "addressReason"));
	assert_false(is_incomplete(j));
	json_object_put(j);
	/* by then they have been back for longer */
	q.age = 29;
	j = answer_one(&q, r);
	assert_int_equal(number(j, "candidatePages"), 900);
	json_object_put(j);
	result_unref(r);
}

/* Followed for 50 s: nothing can be said of 60. */
static void test_unproven(void **state)
{
	struct question q = ask_candidates(60);
	struct result *r = make_result();
	struct json_object *j = answer_one(&q, r);

	(void)state;
	assert_int_equal(number(j, "candidatePages"), 0);
	assert_int_equal(number(j, "unprovenPages"), 810);
	assert_int_equal(number(j, "provenInSeconds"), 10);
	assert_int_equal(count_items(j, "ranges"), 0);
	assert_int_equal(count_items(j, "reasons"), 1);
	assert_true(is_incomplete(j));
	json_object_put(j);
	q.unproven = true;
	j = answer_one(&q, r);
	assert_int_equal(number(j, "candidatePages"), 810);
	assert_int_equal(number(j, "unprovenPages"), 810);
	assert_int_equal(count_items(j, "ranges"), 90);
	assert_true(is_incomplete(j));
	json_object_put(j);
	/* something was forgotten: as if it were followed from then on */
	q.age = 40;
	r->comebacks.refaults.forgotten = refault_time(NOW - 20 * SECOND);
	j = answer_one(&q, r);
	assert_int_equal(number(j, "unprovenPages"), 810);
	assert_int_equal(number(j, "followedSeconds"), 20);
	json_object_put(j);
	/* no events: never */
	r->comebacks.known = 0;
	r->followed = false;
	r->unproven = "no events";
	j = answer_one(&q, r);
	assert_int_equal(number(j, "unprovenPages"), 810);
	assert_true(is_null(j, "provenInSeconds") && is_null(j, "followedSeconds"));
	json_object_put(j);
	/* of no time at all nothing has to be known */
	q.age = 0;
	j = answer_one(&q, r);
	assert_int_equal(number(j, "candidatePages"), 900);
	assert_false(is_incomplete(j));
	json_object_put(j);
	result_unref(r);
}

/* Ranges of all replies are those of one; no more pages than were asked for. */
static void test_cut(void **state)
{
	struct question q = ask_candidates(40);
	struct result *r = make_result();
	struct json_object *replies[100];
	size_t n = answer_all(&q, r, 8192, replies, 100), ranges = 0;
	uint64_t pages = 0;

	(void)state;
	assert_true(n > 1);
	for (size_t i = 0; i < n; i++) {
		ranges += count_items(replies[i], "ranges");
		assert_true(is_null(replies[i], "next") == (i == n - 1));
		json_object_put(replies[i]);
	}
	assert_int_equal(ranges, 90);
	q.max_pages = 100;
	q.range = (struct page_range){5, 300};
	n = answer_all(&q, r, 1 << 20, replies, 100);
	assert_int_equal(n, 1);
	assert_int_equal(number(replies[0], "candidatePages"), 180);
	for (size_t i = 0; i < count_items(replies[0], "ranges"); i++) {
		struct json_object *array = NULL, *item;

		json_get(replies[0], "ranges", json_type_array, &array);
		item = json_object_array_get_idx(array, i);
		assert_true(number(item, "first") >= 5);
		pages += number(item, "count");
	}
	assert_int_equal(pages, 100);
	json_object_put(replies[0]);
	result_unref(r);
}

/* Ranges end where mappings do, and have no address where there is none. */
static void test_addresses(void **state)
{
	struct object_mapper mappers[] = {
		{.pid = 7, .start = 0x10000, .end = 0x10000 + 3 * PAGE, .shared = true},
		{.pid = 7,
		 .start = 0x90000,
		 .end = 0x90000 + PAGE,
		 .offset = 5 * PAGE,
		 .shared = true},
		{.pid = 7, .start = 0x20000, .end = 0x20000 + 9 * PAGE, .shared = false},
		{.pid = 8, .start = 0x30000, .end = 0x30000 + 9 * PAGE, .shared = true},
	};
	struct object object = {.kind = OBJECT_MEMFD, .mappers = mappers, .n_mappers = 4};
	static const struct {
		uint64_t first, count, address;
	} expected[] = {{0, 3, 0x10000}, {3, 2, 0}, {5, 1, 0x90000}, {6, 3, 0}, {10, 9, 0}};
	struct question q = ask_candidates(0);
	struct result *r = make_result();
	struct json_object *j, *array = NULL;

	(void)state;
	r->object = &object;
	r->process = 7;
	q.range.count = 19;
	j = answer_one(&q, r);
	assert_int_equal(number(j, "process"), 7);
	assert_true(is_null(j, "addressReason"));
	json_get(j, "ranges", json_type_array, &array);
	assert_int_equal(json_object_array_length(array), ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		assert_int_equal(number(item, "first"), expected[i].first);
		assert_int_equal(number(item, "count"), expected[i].count);
		if (expected[i].address)
			assert_int_equal(number(item, "address"), expected[i].address);
		else
			assert_true(is_null(item, "address"));
	}
	json_object_put(j);
	result_unref(r);
}

static void test_refaults(void **state)
{
	struct question q = {.method = METHOD_GET_REFAULTS, .range = {150, UINT64_MAX}};
	struct page_range suspected = {300, 5};
	struct result *r = make_result();
	struct json_object *j, *array = NULL, *item;

	(void)state;
	assert_int_equal(refaults_note(&r->comebacks.refaults, &suspected, 1,
				       refault_time(NOW - 3 * SECOND), REFAULTS_SUSPECTED),
			 0);
	j = answer_one(&q, r);
	assert_int_equal(number(j, "refaultedPages"), 50);
	assert_int_equal(number(j, "observedSeconds"), 50);
	json_get(j, "extents", json_type_array, &array);
	assert_int_equal(json_object_array_length(array), 1);
	item = json_object_array_get_idx(array, 0);
	assert_int_equal(number(item, "first"), 150);
	assert_int_equal(number(item, "count"), 50);
	assert_int_equal(number(item, "times"), 1);
	assert_int_equal(number(item, "lastSecondsAgo"), 30);
	assert_false(is_incomplete(j));
	json_object_put(j);
	r->comebacks.known = 0;
	r->unproven = "no events";
	j = answer_one(&q, r);
	assert_true(is_incomplete(j));
	json_object_put(j);
	result_unref(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proven),   cmocka_unit_test(test_unproven),
		cmocka_unit_test(test_cut),      cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_refaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
