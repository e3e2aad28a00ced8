/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "model/object.h"

static const char *const kind_names[] = {
	"memfd", "tmpfs", "sysv", "anon", "shmem", "hugetlb", "secretmem", "guest_memfd",
};

static void test_kinds(void **state)
{
	static const char *const bad[] = {"", "Memfd", "memfd ", "mem", "memfds", "guest-memfd"};

	(void)state;
	assert_int_equal(ARRAY_SIZE(kind_names), OBJECT_KIND_MAX);
	for (int i = 0; i < OBJECT_KIND_MAX; i++) {
		assert_string_equal(object_kind_to_string((enum object_kind)i), kind_names[i]);
		assert_int_equal(object_kind_from_string(kind_names[i]), i);
		assert_int_equal(object_kind_is_swappable((enum object_kind)i), i < 5);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(object_kind_from_string(bad[i]), -EINVAL);
}

static void test_id_format(void **state)
{
	struct object_id id = {.dev = makedev(0, 1), .ino = 25};
	char buf[OBJECT_ID_MAX];

	(void)state;
	assert_string_equal(object_id_format(&id, false, buf), "00:01:25");
	assert_string_equal(object_id_format(&id, true, buf), "00:01:25"); /* not known */
	id.have_generation = true;
	id.generation = 0x1f;
	assert_string_equal(object_id_format(&id, false, buf), "00:01:25");
	assert_string_equal(object_id_format(&id, true, buf), "00:01:25@0000001f");
	id = (struct object_id){makedev(0xfff, 0xfffff), UINT64_MAX, true, UINT32_MAX};
	assert_string_equal(object_id_format(&id, true, buf),
			    "fff:fffff:18446744073709551615@ffffffff");
	id = (struct object_id){makedev(UINT32_MAX, UINT32_MAX), UINT64_MAX, true, UINT32_MAX};
	assert_true(strlen(object_id_format(&id, true, buf)) < OBJECT_ID_MAX);
}

static void test_id_parse(void **state)
{
	struct object_id id = {0};

	(void)state;
	assert_int_equal(object_id_parse("00:01:25", &id), 0);
	assert_int_equal(major(id.dev), 0);
	assert_int_equal(minor(id.dev), 1);
	assert_int_equal(id.ino, 25);
	assert_false(id.have_generation);
	assert_int_equal(object_id_parse("fd:1a:0", &id), 0); /* hexadecimal; inode 0 is shmid 0 */
	assert_int_equal(major(id.dev), 0xfd);
	assert_int_equal(minor(id.dev), 0x1a);
	assert_int_equal(id.ino, 0);
	assert_int_equal(object_id_parse("0:1:10@1f", &id), 0);
	assert_int_equal(id.ino, 10); /* decimal */
	assert_true(id.have_generation);
	assert_int_equal(id.generation, 0x1f);
}

static void test_bad_ids(void **state)
{
	static const char *const bad[] = {
		"",
		"25",
		"00:01",
		"00:01:",
		":01:25",
		"00::25",
		"00:01:25:",
		"00:01:25:3",
		"00:01:25@",
		"00:01:25@g",
		"00:01:25@100000000",
		"00:01:25@1@2",
		"00:01@1:25",
		"@1",
		"00:01:ff",
		"00:01:-1",
		"00:01: 25",
		" 00:01:25",
		"00:01:25 ",
		"00:01:18446744073709551616",
		"100000000:0:1",
		"0:100000000:1",
		"/dev/shm/x",
		"0g:01:25",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct object_id id = {.ino = 77};

		if (object_id_parse(bad[i], &id) != -EINVAL || id.ino != 77)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void test_id_round_trip(void **state)
{
	struct random random = {.state = 3};

	(void)state;
	for (int i = 0; i < 5000; i++) {
		struct object_id id = {0}, back = {0};
		char buf[OBJECT_ID_MAX];

		id.dev = makedev((unsigned)random_next(&random) >> random_below(&random, 32),
				 (unsigned)random_next(&random) >> random_below(&random, 32));
		id.ino = random_next(&random) >> random_below(&random, 64);
		id.have_generation = random_below(&random, 2);
		id.generation = id.have_generation ? (uint32_t)random_next(&random) : 0;
		assert_int_equal(object_id_parse(object_id_format(&id, true, buf), &back), 0);
		assert_int_equal(id.dev, back.dev);
		assert_int_equal(id.ino, back.ino);
		assert_int_equal(id.have_generation, back.have_generation);
		assert_int_equal(id.generation, back.generation);
	}
}

static void test_id_match(void **state)
{
	const dev_t dev = makedev(0, 1);
	struct object_id plain = {dev, 5, false, 0}, first = {dev, 5, true, 1};
	struct object_id second = {dev, 5, true, 2}, other = {dev, 6, false, 0};
	struct object_id elsewhere = {makedev(0, 2), 5, true, 1};

	(void)state;
	assert_true(object_id_match(&plain, &plain));
	assert_true(object_id_match(&plain, &first)); /* not known is no difference */
	assert_true(object_id_match(&second, &plain));
	assert_true(object_id_match(&first, &first));
	assert_false(object_id_match(&first, &second));
	assert_false(object_id_match(&plain, &other));
	assert_false(object_id_match(&first, &elsewhere));
}

static void hold(struct object *o, pid_t pid, int fd)
{
	struct object_holder holder = {.pid = pid, .fd = fd};

	assert_int_equal(object_add_holder(o, &holder), 0);
}

static void map(struct object *o, pid_t pid, uint64_t start)
{
	struct object_mapper mapper = {.pid = pid, .start = start, .end = start + 4096};

	assert_int_equal(object_add_mapper(o, &mapper), 0);
}

/* In the order in which discovery adds: process by process. */
static void test_count_processes(void **state)
{
	struct object *o = calloc(1, sizeof(*o));

	(void)state;
	assert_non_null(o);
	assert_int_equal(object_count_processes(o), 0);
	hold(o, 10, 3);
	assert_int_equal(object_count_processes(o), 1);
	hold(o, 10, 4);
	map(o, 10, 0x1000);
	assert_int_equal(object_count_processes(o), 1);
	map(o, 11, 0x1000);
	map(o, 11, 0x5000);
	assert_int_equal(object_count_processes(o), 2);
	hold(o, 12, 3);
	map(o, 12, 0x1000);
	hold(o, 13, 3);
	assert_int_equal(object_count_processes(o), 4);
	assert_int_equal(o->n_holders, 4);
	assert_int_equal(o->n_mappers, 4);
	assert_null(object_free(o));
}

static void test_many_holders(void **state)
{
	struct object *o = calloc(1, sizeof(*o));

	(void)state;
	assert_non_null(o);
	for (int i = 0; i < 1000; i++) {
		hold(o, 100 + i / 10, i);
		map(o, 100 + i / 10, 0x1000);
	}
	assert_int_equal(o->n_holders, 1000);
	assert_int_equal(o->holders[999].fd, 999);
	assert_int_equal(o->mappers[999].pid, 199);
	assert_int_equal(object_count_processes(o), 100);
	assert_null(object_free(o));
	assert_null(object_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),           cmocka_unit_test(test_id_format),
		cmocka_unit_test(test_id_parse),        cmocka_unit_test(test_bad_ids),
		cmocka_unit_test(test_id_round_trip),   cmocka_unit_test(test_id_match),
		cmocka_unit_test(test_count_processes), cmocka_unit_test(test_many_holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
