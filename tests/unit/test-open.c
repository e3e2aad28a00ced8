/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening an object must not do anything to it: leases, segments that go with their last
 * attachment. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "discover/open.h"
#include "discover/select.h"
#include "objects.h"
#include "probe/mincore.h"
#include "unit.h"
#include "util/util.h"

static const struct discover_options automatic = {.way = DISCOVER_AUTO};

static struct object *find_only(const struct selector *s, struct discovery *d)
{
	struct object **matches;
	struct object *o;

	assert_int_equal(selector_discover(s, &automatic, &caps, false, d), 0);
	assert_int_equal(selector_match(s, d, &matches), 1);
	o = matches[0];
	free(matches);
	return o;
}

/* The descriptor stays out of this process: a lease is broken by any other open of the file. */
static void test_write_lease(void **state)
{
	char path[] = "/dev/shm/shmstate-test.XXXXXX";
	int fd = mkstemp(path), opened;
	struct selector s = {.path = path};
	struct discovery d;
	struct object *o;

	(void)state;
	assert_true(fd >= 0);
	signal(SIGIO, SIG_IGN);
	o = find_only(&s, &d);
	opened = object_open(&d, o);
	assert_true(opened >= 0);
	close(opened);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
		discovery_done(&d);
		unlink(path);
		skip();
	}
	assert_int_equal(object_open(&d, o), -EAGAIN);
	assert_int_equal(fcntl(fd, F_GETLEASE), F_WRLCK);
	discovery_done(&d);
	unlink(path);
	close(fd);
}

/* Of a lease on what is mapped only, nothing in /proc tells. */
static void test_lease_without_descriptor(void **state)
{
	const struct discover_options iterators = {.way = DISCOVER_ITERATORS};
	char path[] = "/dev/shm/shmstate-test.XXXXXX";
	int fd = mkstemp(path), n;
	struct selector s = {.path = path};
	struct object **matches;
	struct discovery d;
	void *map;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)page_size), 0);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
		unlink(path);
		skip();
	}
	map = mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	close(fd);
	if (selector_discover(&s, &iterators, &caps, true, &d) < 0) {
		unlink(path);
		skip();
	}
	n = selector_match(&s, &d, &matches);
	assert_int_equal(n, 1);
	assert_true(matches[0]->leased);
	assert_int_equal(object_open(&d, matches[0]), -EAGAIN);
	free(matches);
	discovery_done(&d);
	munmap(map, page_size);
	unlink(path);
}

static bool own_ipc_namespace(bool rmid_forced)
{
	FILE *f;

	if (unshare(CLONE_NEWIPC) < 0)
		return false;
	f = fopen("/proc/sys/kernel/shm_rmid_forced", "we");
	if (!f)
		return false;
	fputc(rmid_forced ? '1' : '0', f);
	return fclose(f) == 0;
}

/* With shm_rmid_forced to look at a segment that nobody has attached yet would remove it. */
static void test_segment_is_not_removed(void **state)
{
	struct object o = {.kind = OBJECT_SYSV, .have_size = true};
	struct discovery d = {.caps = &caps};
	struct shmid_ds ds;
	int id, fd;

	(void)state;
	d.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int forced = 0; forced < 2; forced++) {
		if (!own_ipc_namespace(forced)) {
			close(d.proc_fd);
			skip();
		}
		id = shmget(IPC_PRIVATE, 3 * page_size, IPC_CREAT | 0600);
		assert_true(id >= 0);
		o.size = 3 * page_size;
		o.id = (struct object_id){.dev = caps.shmem_dev, .ino = (ino_t)id};
		fd = object_open(&d, &o);
		if (forced)
			assert_int_equal(fd, -EBUSY);
		else if (fd == -EACCES)
			skip(); /* map_files takes a capability */
		else
			assert_true(fd >= 0);
		closep(&fd);
		assert_int_equal(shmctl(id, IPC_STAT, &ds), 0);
		shmctl(id, IPC_RMID, NULL);
	}
	close(d.proc_fd);
}

/* A segment of ours that nobody has attached is none of another namespace with the same number. */
static void test_unattached_is_separate(void **state)
{
	struct discovery d = {.caps = &caps, .proc_fd = -1};
	struct sighting attached = {
		.kind = OBJECT_SYSV,
		.id = {.dev = caps.shmem_dev, .ino = 0, .have_generation = true, .generation = 7},
		.link = "/SYSV00000000 (deleted)",
	};
	struct sighting unattached = {
		.kind = OBJECT_SYSV,
		.id = {.dev = caps.shmem_dev, .ino = 0},
		.separate = true,
		.link = "/SYSV00000000",
	};
	struct object *a, *b;

	(void)state;
	assert_int_equal(discovery_note(&d, &attached, &a), 0);
	assert_int_equal(discovery_note(&d, &unattached, &b), 0);
	assert_ptr_not_equal(a, b);
	assert_true(a->has_twin && b->has_twin);
	discovery_done(&d);
}

/* Where address space is short smaller parts are mapped; the answer is the same. */
static void test_short_address_space(void **state)
{
	struct rlimit limit, low;
	int fd = new_object(((uint64_t)8 << 30));
	struct mincore_map map = {.fd = fd, .page_size = page_size};
	unsigned char vec[512];
	int r;

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)2 << 30;
	assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
	r = mincore_read(&map, 0, 512, vec);
	setrlimit(RLIMIT_AS, &limit);
	mincore_unmap(&map);
	close(fd);
	if (r == -ENOMEM)
		skip(); /* sanitizers and valgrind have mapped more than that already */
	assert_int_equal(r, 0);
	assert_int_equal(vec[0] & 1, 1);
	assert_int_equal(vec[1] & 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_lease),
		cmocka_unit_test(test_lease_without_descriptor),
		cmocka_unit_test(test_segment_is_not_removed),
		cmocka_unit_test(test_unattached_is_separate),
		cmocka_unit_test(test_short_address_space),
	};

	return cmocka_run_group_tests(tests, objects_setup, NULL);
}
