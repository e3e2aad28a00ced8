/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "json/decode.h"
#include "json/encode.h"
#include "json/get.h"

static struct object make_object(const char *name)
{
	static struct object_holder holders[] = {{1, 0}, {70000, 1023}};
	static struct object_mapper mappers[] = {{1, 4096, 8192, 0, true},
						 {2, 0x7f0000000000, 0x7f0000010000, 65536, false}};

	return (struct object){
		.id = {.dev = 0x2e, .ino = 65, .have_generation = true, .generation = 0xfedcba98},
		.has_twin = true,
		.kind = OBJECT_TMPFS,
		.name = (char *)name,
		.deleted = true,
		.have_size = true,
		.size = INT64_MAX,
		.page_size = 4096,
		.holders = holders,
		.n_holders = 2,
		.mappers = mappers,
		.n_mappers = 2,
	};
}

static struct json_object *json_of_all(const struct object *o)
{
	struct json_object *j = json_of_object(o);

	json_object_object_add(j, "holders", json_of_holders(o, 0, o->n_holders, "fileDescriptor"));
	json_object_object_add(j, "mappers", json_of_mappers(o, 0, o->n_mappers));
	return j;
}

/* What was written is read back, and written again is the same text. */
static void test_object(void **state)
{
	static const char *const names[] = {NULL, "", "plain", "a\\x41\n\xff\"/", "\xc3\xa4"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct object o = make_object(names[i]), *back;
		struct json_object *j = json_of_all(&o), *again;

		assert_int_equal(object_from_json(j, &back), 0);
		again = json_of_all(back);
		assert_string_equal(json_object_to_json_string(j),
				    json_object_to_json_string(again));
		if (names[i])
			assert_string_equal(back->name, names[i]);
		else
			assert_null(back->name);
		assert_true(back->id.dev == o.id.dev && back->id.generation == o.id.generation);
		assert_int_equal(back->n_mappers, 2);
		object_free(back);
		json_object_put(j);
		json_object_put(again);
	}
}

static void test_object_without(void **state)
{
	struct object o = make_object(NULL), *back;
	struct json_object *j;

	(void)state;
	o.has_twin = o.have_size = false;
	j = json_of_object(&o);
	assert_int_equal(object_from_json(j, &back), 0);
	assert_false(back->have_size || back->has_twin || back->id.have_generation);
	assert_int_equal(back->n_holders, 0);
	object_free(back);
	json_object_put(j);
}

static struct snapshot make_snapshot(void)
{
	static struct disagreement items[] = {{0, 5, PAGE_SWAPPED, PAGE_SWAP_CACHE, true},
					      {9, 3, PAGE_HOLE, PAGE_ALLOCATED, false}};

	return (struct snapshot){
		.page_size = 4096,
		.size = 1 << 20,
		.first = 3,
		.count = 100,
		.probe = "portable",
		.sources = SOURCE_SEEK | SOURCE_MINCORE | SOURCE_SWAP_TABLE,
		.reasons = SNAPSHOT_NO_CACHESTAT | SNAPSHOT_LARGE_UNASKED,
		.moved = 7,
		.counts = {1, 2, 3, 4, 5, 6, 7, 72},
		.walk_error = -EPERM,
		.verification = {.done = true,
				 .compared = 90,
				 .undetermined = 10,
				 .unexplained = 3,
				 .items = items,
				 .n_items = 2},
	};
}

static void test_snapshot(void **state)
{
	struct snapshot s = make_snapshot(), back;
	struct json_object *j = json_object_new_object(), *again = json_object_new_object();

	(void)state;
	json_add_snapshot(j, &s, ~(page_state_mask)0);
	assert_int_equal(snapshot_from_json(j, 4096, &back), 0);
	json_add_snapshot(again, &back, ~(page_state_mask)0);
	assert_string_equal(json_object_to_json_string(j), json_object_to_json_string(again));
	assert_int_equal(back.verification.unexplained, 3);
	assert_int_equal(back.page_size, 4096);
	snapshot_done(&back);
	json_object_put(j);
	json_object_put(again);
}

/* Every reason that there is can be told. */
static void test_words(void **state)
{
	static const int errors[] = {0, -EPERM, -ENOENT, -EOPNOTSUPP, -EINVAL, -ENOMEM, -E2BIG};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct snapshot s = make_snapshot(), back;
		struct json_object *j = json_object_new_object();

		s.walk_error = errors[i];
		s.sources = 0xff;
		s.reasons = 0x3f;
		json_add_snapshot(j, &s, ~(page_state_mask)0);
		assert_int_equal(snapshot_from_json(j, 4096, &back), 0);
		assert_int_equal(back.walk_error, errors[i]);
		assert_int_equal(back.sources, s.sources);
		assert_int_equal(back.reasons, s.reasons);
		snapshot_done(&back);
		/* Of a later version. */
		json_object_object_add(j, "noWalk", json_object_new_string("for some reason"));
		assert_int_equal(snapshot_from_json(j, 4096, &back), 0);
		assert_int_equal(back.walk_error, -EPROTO);
		snapshot_done(&back);
		json_object_put(j);
	}
}

/* Spoils one field after the other, however deep, in each of these ways. */
static struct json_object *const *spoilers(size_t *ret_n)
{
	static struct json_object *all[8];
	size_t n = 0;

	if (!all[0]) {
		all[n++] = json_object_new_object();
		all[n++] = json_object_new_array();
		all[n++] = json_object_new_string("nil");
		all[n++] = json_object_new_int64(-1);
		all[n++] = json_object_new_double(1.5);
		all[n++] = json_object_new_boolean(1);
		all[n++] = json_tokener_parse("[1]");
		all[n++] = json_tokener_parse("[{}]");
	}
	*ret_n = ARRAY_SIZE(all);
	return all;
}

typedef void (*try_function)(struct json_object *whole);

/* Whatever comes of it: nothing may break. AddressSanitizer and valgrind look at it. */
static void spoil(struct json_object *whole, struct json_object *part, try_function try)
{
	size_t n, n_fields = json_object_is_type(part, json_type_object)
				     ? (size_t)json_object_object_length(part)
				     : 0;
	struct json_object *const *with = spoilers(&n);
	const char *keys[64];
	size_t k = 0;

	for (size_t i = 0;
	     json_object_is_type(part, json_type_array) && i < json_object_array_length(part); i++)
		spoil(whole, json_object_array_get_idx(part, i), try);
	if (n_fields == 0)
		return;
	json_object_object_foreach(part, key, value)
	{
		(void)value;
		keys[k++] = key;
	}
	for (k = 0; k < n_fields; k++) {
		struct json_object *was = json_object_get(json_object_object_get(part, keys[k]));
		char *name = strdup(keys[k]);

		spoil(whole, was, try);
		for (size_t i = 0; i < n; i++) {
			json_object_object_add(part, name, json_object_get(with[i]));
			try(whole);
		}
		json_object_object_add(part, name, NULL);
		try(whole);
		json_object_object_add(part, name, was);
		free(name);
	}
}

static void try_object(struct json_object *j)
{
	struct object *o = NULL;
	int r = object_from_json(j, &o);

	assert_true(r == 0 || r == -EBADMSG);
	object_free(o);
}

static void try_snapshot(struct json_object *j)
{
	struct snapshot s = {0};
	int r = snapshot_from_json(j, 4096, &s);

	assert_true(r == 0 || r == -EBADMSG);
	snapshot_done(&s);
}

static void test_spoiled(void **state)
{
	struct object o = make_object("name");
	struct snapshot s = make_snapshot();
	struct json_object *j = json_of_all(&o);

	(void)state;
	spoil(j, j, try_object);
	json_object_put(j);
	j = json_object_new_object();
	json_add_snapshot(j, &s, ~(page_state_mask)0);
	spoil(j, j, try_snapshot);
	json_object_put(j);
	try_object(NULL);
	try_snapshot(NULL);
}

/* What must be there, and be what it is. */
static void test_needed(void **state)
{
	static const char *const of_object[] = {"object", "kind", "deleted", "pageSize"};
	static const char *const of_snapshot[] = {"size",   "range",      "probe",
						  "stable", "movedPages", "counts"};
	struct object o = make_object("name"), *back = NULL;
	struct snapshot s = make_snapshot(), got = {.count = 99};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of_object); i++) {
		struct json_object *j = json_of_all(&o);

		json_object_object_del(j, of_object[i]);
		assert_int_equal(object_from_json(j, &back), -EBADMSG);
		assert_null(back);
		json_object_put(j);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_snapshot); i++) {
		struct json_object *j = json_object_new_object();

		json_add_snapshot(j, &s, ~(page_state_mask)0);
		json_object_object_del(j, of_snapshot[i]);
		assert_int_equal(snapshot_from_json(j, 4096, &got), -EBADMSG);
		assert_int_equal(got.count, 99);
		json_object_put(j);
	}
}

#define LOCATED                                                                     \
	"{\"pageSize\":4096,\"size\":409600,\"range\":{\"first\":0,\"count\":100}," \
	"\"unlocatedPages\":2,\"swaps\":[{\"type\":3,\"device\":\"/dev/"            \
	"\\\\x0a\",\"file\":false}],"                                               \
	"\"extents\":[%s]}"

static int add_slots(struct slot_map *map, const char *extents)
{
	char *text;
	struct json_object *j;
	int r;

	assert_true(asprintf(&text, LOCATED, extents) > 0);
	j = json_tokener_parse(text);
	assert_non_null(j);
	r = slot_map_add_json(map, j);
	json_object_put(j);
	free(text);
	return r;
}

static void test_slots(void **state)
{
	struct slot_map map = {0};

	(void)state;
	assert_int_equal(add_slots(&map, "{\"first\":0,\"count\":2,\"type\":3,\"slot\":7,"
					 "\"content\":\"device\",\"cached\":true}"),
			 0);
	/* In another reply: it joins what came before. */
	assert_int_equal(add_slots(&map, "{\"first\":2,\"count\":2,\"type\":3,\"slot\":9,"
					 "\"content\":\"device\",\"cached\":true},"
					 "{\"first\":50,\"count\":1,\"type\":3,\"slot\":1,"
					 "\"content\":\"zswap\",\"cached\":null}"),
			 0);
	assert_int_equal(map.n_items, 2);
	assert_int_equal(map.items[0].count, 4);
	assert_int_equal(map.items[1].cached, SLOT_CACHED_UNKNOWN);
	assert_int_equal(map.counts[SLOT_DEVICE], 4);
	assert_int_equal(map.cached, 4);
	assert_int_equal(map.unlocated, 2);
	assert_string_equal(map.swaps[3].path, "/dev/\n");
	slot_map_done(&map);
}

static void test_bad_slots(void **state)
{
	static const char *const bad[] = {
		"1",
		"{}",
		"{\"first\":0,\"count\":1,\"type\":32,\"slot\":7,\"content\":\"device\"}",
		"{\"first\":0,\"count\":1,\"type\":-1,\"slot\":7,\"content\":\"device\"}",
		"{\"first\":0,\"count\":1,\"type\":0,\"slot\":7,\"content\":\"nil\"}",
		"{\"first\":0,\"count\":\"1\",\"type\":0,\"slot\":7,\"content\":\"zero\"}",
		("{\"first\":5,\"count\":1,\"type\":0,\"slot\":7,\"content\":\"zero\"},"
		 "{\"first\":5,\"count\":1,\"type\":0,\"slot\":9,\"content\":\"zero\"}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct slot_map map = {0};

		assert_int_equal(add_slots(&map, bad[i]), -EBADMSG);
		slot_map_done(&map);
	}
}

static int drop_spoilers(void **state)
{
	size_t n;
	struct json_object *const *all = spoilers(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		json_object_put(all[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object),   cmocka_unit_test(test_object_without),
		cmocka_unit_test(test_snapshot), cmocka_unit_test(test_words),
		cmocka_unit_test(test_spoiled),  cmocka_unit_test(test_needed),
		cmocka_unit_test(test_slots),    cmocka_unit_test(test_bad_slots),
	};

	return cmocka_run_group_tests(tests, NULL, drop_spoilers);
}
