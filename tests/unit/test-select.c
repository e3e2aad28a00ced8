/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "discover/select.h"

#define DEV makedev(0, 1)
#define NOTHING ((struct discovery){.proc_fd = -1})

static const struct discover_options automatic = {.way = DISCOVER_AUTO};

static struct object *note(struct discovery *d, struct object_id id, enum object_kind kind,
			   const char *link)
{
	struct sighting s = {.id = id, .kind = kind, .link = link, .page_size = 4096};
	struct object *o = NULL;

	assert_int_equal(discovery_note(d, &s, &o), 0);
	assert_non_null(o);
	return o;
}

static struct object_id plain(ino_t ino)
{
	return (struct object_id){.dev = DEV, .ino = ino};
}

static struct object_id born(ino_t ino, uint32_t generation)
{
	return (struct object_id){DEV, ino, true, generation};
}

static void test_one_object_of_many_sightings(void **state)
{
	struct discovery d = NOTHING;
	struct object *a = note(&d, born(5, 1), OBJECT_MEMFD, "/memfd:a (deleted)");

	(void)state;
	assert_ptr_equal(note(&d, born(5, 1), OBJECT_MEMFD, "/memfd:a (deleted)"), a);
	assert_ptr_equal(note(&d, plain(5), OBJECT_MEMFD, "/memfd:a (deleted)"), a);
	assert_true(a->id.have_generation); /* what is known is not forgotten */
	assert_false(a->has_twin);
	assert_string_equal(a->name, "a");
	assert_ptr_not_equal(note(&d, born(6, 1), OBJECT_MEMFD, "/memfd:a (deleted)"), a);
	assert_int_equal(d.n_objects, 2);
	discovery_done(&d);
	assert_int_equal(d.n_objects, 0);
	assert_int_equal(d.proc_fd, -1);
	discovery_done(&d);
}

/* A segment's inode number is its shmid: a memfd may have the same, on the same device. */
static void test_twins_of_two_kinds(void **state)
{
	struct discovery d = NOTHING;
	struct object *memfd = note(&d, born(5, 1), OBJECT_MEMFD, "/memfd:a (deleted)");
	struct object *segment = note(&d, born(5, 2), OBJECT_SYSV, "/SYSV00000001 (deleted)");

	(void)state;
	assert_ptr_not_equal(memfd, segment);
	assert_true(memfd->has_twin && segment->has_twin);
	assert_ptr_equal(note(&d, born(5, 1), OBJECT_MEMFD, "/memfd:a (deleted)"), memfd);
	assert_ptr_equal(note(&d, born(5, 2), OBJECT_SYSV, "/SYSV00000001 (deleted)"), segment);
	/* Generations that cannot be read: the kind is enough. */
	assert_ptr_equal(note(&d, plain(5), OBJECT_MEMFD, "/memfd:a (deleted)"), memfd);
	assert_ptr_equal(note(&d, plain(5), OBJECT_SYSV, "/SYSV00000001 (deleted)"), segment);
	assert_int_equal(d.n_objects, 2);
	discovery_done(&d);
}

static void test_twins_without_generations(void **state)
{
	struct discovery d = NOTHING;
	struct object *memfd = note(&d, plain(5), OBJECT_MEMFD, "/memfd:a (deleted)");
	struct object *segment = note(&d, plain(5), OBJECT_SYSV, "/SYSV00000001 (deleted)");

	(void)state;
	assert_ptr_not_equal(memfd, segment);
	assert_ptr_equal(note(&d, plain(5), OBJECT_MEMFD, "/memfd:a (deleted)"), memfd);
	assert_ptr_equal(note(&d, plain(5), OBJECT_SYSV, "/SYSV00000001 (deleted)"), segment);
	/* The generation becomes known later. */
	assert_ptr_equal(note(&d, born(5, 9), OBJECT_SYSV, "/SYSV00000001 (deleted)"), segment);
	assert_true(segment->id.have_generation);
	assert_int_equal(segment->id.generation, 9);
	assert_int_equal(d.n_objects, 2);
	discovery_done(&d);
}

/* Two of a kind: only the generation tells them apart; without it the sighting stays apart too. */
static void test_triplets(void **state)
{
	struct discovery d = NOTHING;
	struct object *a = note(&d, born(5, 1), OBJECT_SYSV, "/SYSV00000001 (deleted)");
	struct object *b = note(&d, born(5, 2), OBJECT_SYSV, "/SYSV00000001 (deleted)");
	struct object *c = note(&d, plain(5), OBJECT_SYSV, "/SYSV00000001 (deleted)");

	(void)state;
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(c, a);
	assert_ptr_not_equal(c, b);
	assert_true(a->has_twin && b->has_twin && c->has_twin);
	assert_ptr_equal(note(&d, born(5, 1), OBJECT_SYSV, "/SYSV00000001 (deleted)"), a);
	assert_ptr_equal(note(&d, born(5, 2), OBJECT_SYSV, "/SYSV00000001 (deleted)"), b);
	assert_ptr_equal(note(&d, plain(5), OBJECT_SYSV, "/SYSV00000001 (deleted)"), c);
	assert_int_equal(d.n_objects, 3);
	discovery_done(&d);
}

static void test_many_objects(void **state)
{
	struct discovery d = NOTHING;
	struct random random = {.state = 6};
	bool seen[1000] = {false};
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		uint64_t ino = random_below(&random, ARRAY_SIZE(seen));

		note(&d, plain(ino), OBJECT_MEMFD, "/memfd:x (deleted)");
		n += !seen[ino];
		seen[ino] = true;
	}
	assert_int_equal(d.n_objects, n);
	for (size_t i = 0; i < d.n_objects; i++)
		assert_false(d.objects[i]->has_twin);
	discovery_done(&d);
}

static void hold(struct object *o, pid_t pid, int fd)
{
	struct object_holder holder = {pid, fd};

	assert_int_equal(object_add_holder(o, &holder), 0);
}

static void map(struct object *o, pid_t pid, uint64_t start, uint64_t end)
{
	struct object_mapper mapper = {.pid = pid, .start = start, .end = end};

	assert_int_equal(object_add_mapper(o, &mapper), 0);
}

/* The numbers of the inodes that match, in order, as text. */
static const char *matches(const struct discovery *d, struct selector s)
{
	static char text[64];
	struct object **found = NULL;
	int n = selector_match(&s, d, &found);

	text[0] = '\0';
	assert_true(n >= 0);
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%llu", i ? " " : "",
			 (unsigned long long)found[i]->id.ino);
	free(found);
	return text;
}

static void test_selectors(void **state)
{
	struct discovery d = NOTHING;
	struct object *a = note(&d, born(1, 7), OBJECT_MEMFD, "/memfd:guest (deleted)");
	struct object *b = note(&d, born(2, 7), OBJECT_MEMFD, "/memfd:guest (deleted)");
	struct object *c = note(&d, born(3, 7), OBJECT_ANON, "/dev/zero (deleted)");

	(void)state;
	hold(a, 100, 3);
	map(a, 100, 0x1000, 0x3000);
	hold(b, 100, 4);
	hold(b, 200, 3);
	map(c, 200, 0x1000, 0x2000);

	assert_string_equal(matches(&d, (struct selector){0}), "1 2 3");
	assert_string_equal(matches(&d, (struct selector){.pid = 100}), "1 2");
	assert_string_equal(matches(&d, (struct selector){.pid = 200}), "2 3");
	assert_string_equal(matches(&d, (struct selector){.pid = 300}), "");
	assert_string_equal(matches(&d, (struct selector){.pid = 100, .have_fd = true, .fd = 4}),
			    "2");
	assert_string_equal(matches(&d, (struct selector){.pid = 200, .have_fd = true, .fd = 4}),
			    "");
	assert_string_equal(
		matches(&d, (struct selector){.pid = 100, .have_address = true, .address = 0x1000}),
		"1");
	assert_string_equal(
		matches(&d, (struct selector){.pid = 100, .have_address = true, .address = 0x2fff}),
		"1");
	assert_string_equal(
		matches(&d, (struct selector){.pid = 100, .have_address = true, .address = 0x3000}),
		"");
	assert_string_equal(
		matches(&d, (struct selector){.pid = 200, .have_address = true, .address = 0x1fff}),
		"3");
	assert_string_equal(matches(&d, (struct selector){.name = "guest"}), "1 2");
	assert_string_equal(matches(&d, (struct selector){.name = "guest", .pid = 200}), "2");
	assert_string_equal(matches(&d, (struct selector){.name = ""}), ""); /* no name is not "" */
	assert_string_equal(matches(&d, (struct selector){.have_id = true, .id = plain(3)}), "3");
	assert_string_equal(matches(&d, (struct selector){.have_id = true, .id = born(3, 8)}), "");
	assert_string_equal(
		matches(&d, (struct selector){.have_id = true, .id = plain(3), .pid = 100}), "");
	assert_string_equal(matches(&d, (struct selector){.path = "/nowhere"}), "");
	discovery_done(&d);
}

static void test_is_empty(void **state)
{
	(void)state;
	assert_true(selector_is_empty(&(struct selector){0}));
	assert_false(selector_is_empty(&(struct selector){.pid = 1}));
	assert_false(selector_is_empty(&(struct selector){.have_id = true}));
	assert_false(selector_is_empty(&(struct selector){.path = ""}));
	assert_false(selector_is_empty(&(struct selector){.name = ""}));
}

/* Only the kernel's own mark is taken off: a file may be called so. */
static void test_file_called_deleted(void **state)
{
	struct sighting s = {
		.id = born(8, 1), .kind = OBJECT_TMPFS, .link = "/dev/shm/x (deleted)"};
	struct discovery d = NOTHING;
	struct object *o;

	(void)state;
	assert_int_equal(discovery_note(&d, &s, &o), 0);
	assert_string_equal(o->name, "/dev/shm/x (deleted)");
	assert_false(o->deleted);
	s.id.ino++;
	s.deleted = true;
	assert_int_equal(discovery_note(&d, &s, &o), 0);
	assert_string_equal(o->name, "/dev/shm/x");
	assert_true(o->deleted);
	discovery_done(&d);
}

/* A path is looked at even if nobody has the file open. */
static void test_paths(void **state)
{
	char path[] = "/dev/shm/shmstate-unit-XXXXXX";
	struct selector s = {.pid = getpid(), .path = path};
	struct discovery d = NOTHING;
	struct kcaps caps;
	int fd = mkstemp(path);
	struct stat st;
	int r;

	(void)state;
	if (fd < 0)
		skip(); /* no /dev/shm here */
	assert_int_equal(ftruncate(fd, 5000), 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	assert_int_equal(kcaps_probe(&caps), 0);
	r = selector_discover(&s, &automatic, &caps, false, &d);
	unlink(path);
	if (r == -ENOTTY)
		skip(); /* it is no tmpfs */
	assert_int_equal(r, 0);
	r = 0;
	for (size_t i = 0; i < d.n_objects; i++) {
		const struct object *o = d.objects[i];

		if (o->id.dev != st.st_dev || o->id.ino != st.st_ino)
			continue;
		assert_int_equal(o->kind, OBJECT_TMPFS);
		assert_string_equal(o->name, path);
		assert_int_equal(o->size, 5000);
		assert_int_equal(o->n_holders, 0);
		r++;
	}
	assert_int_equal(r, 1);
	discovery_done(&d);
}

static void test_bad_paths(void **state)
{
	static const struct {
		const char *path;
		int error;
	} cases[] = {
		{"/nowhere/at/all", -ENOENT}, {"", -ENOENT},      {"/proc/version/x", -ENOTDIR},
		{"/dev/null", -ENOTTY},       {"/proc", -ENOTTY}, {"/proc/version", -ENOTTY},
	};
	struct kcaps caps;

	(void)state;
	assert_int_equal(kcaps_probe(&caps), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector s = {.pid = getpid(), .path = cases[i].path};
		struct discovery d = NOTHING;

		assert_int_equal(selector_discover(&s, &automatic, &caps, false, &d), cases[i].error);
		assert_null(d.objects);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_object_of_many_sightings),
		cmocka_unit_test(test_twins_of_two_kinds),
		cmocka_unit_test(test_twins_without_generations),
		cmocka_unit_test(test_triplets),
		cmocka_unit_test(test_many_objects),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_is_empty),
		cmocka_unit_test(test_file_called_deleted),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_bad_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
