/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The two ways of discovery must agree: on objects of every kind, and on the whole system. */

#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char odd_name[] = "odd \n\\012\xff\x01 (deleted)";

static void test_memfd(void **state)
{
	size_t size = 8 * page_size;
	char *shared, *private, *split;
	int fd, again;

	(void)state;
	need_iterators();
	fd = memfd_create(odd_name, 0);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size - 1), 0);
	again = fcntl(fd, F_DUPFD, 200);
	shared = map_pages(fd, size, MAP_SHARED, 0);
	private = map_pages(fd, page_size, MAP_PRIVATE, (off_t)(3 * page_size));
	split = map_pages(fd, size, MAP_SHARED, (off_t)page_size);
	assert_int_equal(mprotect(split + page_size, page_size, PROT_NONE), 0);
	compare_own("name=odd\\20\\0a\\012\\ff\\01\\20(deleted) ");
	munmap(shared, size);
	munmap(private, page_size);
	munmap(split, size);
	close(again);
	close(fd);
}

/* A folder on a tmpfs; the caller removes it. */
static bool make_folder(char *path)
{
	strcpy(path, "/dev/shm/shmstate-unit-XXXXXX");
	return mkdtemp(path);
}

static void test_tmpfs(void **state)
{
	char folder[64], *mapped;
	int dir, kept, deleted, path_only;

	(void)state;
	need_iterators();
	if (!make_folder(folder))
		skip(); /* no /dev/shm here */
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	kept = make_file_at(dir, odd_name);
	deleted = make_file_at(dir, "gone");
	path_only = openat(dir, odd_name, O_PATH | O_CLOEXEC);
	assert_true(path_only >= 0);
	assert_int_equal(unlinkat(dir, "gone", 0), 0);
	mapped = map_pages(deleted, page_size, MAP_SHARED, 0);
	compare_own("/gone fd ");
	compare_own("/odd\\20\\0a\\012\\ff\\01\\20(deleted) fd ");
	close(deleted);
	compare_own("/gone map ");
	munmap(mapped, page_size);
	close(kept);
	compare_own("/odd");
	close(path_only);
	unlinkat(dir, odd_name, 0);
	close(dir);
	rmdir(folder);
}

#define FOLDER_BYTES 240

/* Goes down depth folders from dir, making or removing them; dir is closed. */
static int descend(int dir, unsigned depth)
{
	char name[FOLDER_BYTES + 1];

	memset(name, 'x', FOLDER_BYTES);
	name[FOLDER_BYTES] = '\0';
	while (depth-- > 0) {
		int next;

		if (mkdirat(dir, name, 0700) < 0)
			assert_int_equal(errno, EEXIST);
		next = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(dir);
		dir = next;
	}
	return dir;
}

static void remove_folders(const char *folder, unsigned depth)
{
	char name[FOLDER_BYTES + 1];

	memset(name, 'x', FOLDER_BYTES);
	name[FOLDER_BYTES] = '\0';
	while (depth-- > 0) {
		int dir = descend(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), depth);

		assert_int_equal(unlinkat(dir, name, AT_REMOVEDIR), 0);
		close(dir);
	}
	assert_int_equal(rmdir(folder), 0);
}

static void test_long_path(void **state)
{
	char folder[64], *mapped;
	int dir, fd;

	(void)state;
	need_iterators();
	if (!make_folder(folder))
		skip(); /* no /dev/shm here */
	dir = descend(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), 12);
	fd = make_file_at(dir, "deep");
	mapped = map_pages(fd, page_size, MAP_SHARED, 0);
	compare_own("/deep fd ");
	munmap(mapped, page_size);
	unlinkat(dir, "deep", 0);
	close(fd);
	close(dir);
	remove_folders(folder, 12);
}

/* Longer than /proc can tell: then the descriptors are not seen there. */
static void test_path_too_long(void **state)
{
	_cleanup_free_ char *text = NULL;
	pid_t pid = getpid();
	char folder[64];
	int dir, fd;

	(void)state;
	need_iterators();
	if (!make_folder(folder))
		skip(); /* no /dev/shm here */
	dir = descend(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), 18);
	fd = make_file_at(dir, "deeper");
	text = look_and_describe(DISCOVER_ITERATORS, &(struct selection){&pid, 1});
	assert_non_null(strstr(text, " tmpfs deleted=0 size=1:12345 "));
	assert_non_null(strstr(text, " name=(none) fd "));
	unlinkat(dir, "deeper", 0);
	close(fd);
	close(dir);
	remove_folders(folder, 18);
}

static void test_segments(void **state)
{
	char *attached[2];
	int id = shmget(IPC_PRIVATE, 3 * page_size, IPC_CREAT | 0600);

	(void)state;
	need_iterators();
	if (id < 0)
		skip();                                            /* no SysV IPC */
	compare_ways(&(struct selection){0}, "name=SYSV00000000"); /* nobody has it attached */
	attached[0] = shmat(id, NULL, 0);
	attached[1] = shmat(id, NULL, SHM_RDONLY);
	assert_true(attached[0] != (char *)-1 && attached[1] != (char *)-1);
	shmctl(id, IPC_RMID, NULL);
	compare_own("name=SYSV00000000 map ");
	shmdt(attached[0]);
	shmdt(attached[1]);
}

/* Memory of a virtual machine that is never run; -1 where there are none. */
static int make_guest_memory(void)
{
	struct {
		uint64_t size, flags, reserved[6];
	} request = {.size = UINT64_C(2) << 20};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), machine = -1, fd = -1;

	/* KVM_CREATE_VM and KVM_CREATE_GUEST_MEMFD, which not all headers have. */
	if (kvm >= 0)
		machine = ioctl(kvm, _IO(0xae, 0x01), 1 /* one that may have private memory */);
	if (machine >= 0)
		fd = ioctl(machine, _IOC(_IOC_READ | _IOC_WRITE, 0xae, 0xd4, sizeof(request)),
			   &request);
	closep(&machine);
	closep(&kvm);
	return fd;
}

static void test_other_kinds(void **state)
{
	int guest = make_guest_memory();
	int huge = memfd_create("huge", MFD_HUGETLB | MFD_CLOEXEC), secret = -1, null, zero;
	char *anonymous = map_pages(-1, 2 * page_size, MAP_SHARED | MAP_ANONYMOUS, 0);
	char *zeros = NULL;

	(void)state;
	need_iterators();
#ifdef SYS_memfd_secret
	secret = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
#endif
	null = open("/dev/null", O_RDWR | O_CLOEXEC); /* on a shmem file system, maybe */
	zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (zero >= 0) /* which gives what an anonymous mapping does */
		zeros = map_pages(zero, page_size, MAP_SHARED, 0);
	compare_own(" anon ");
	if (huge >= 0)
		compare_own(" hugetlb ");
	if (secret >= 0)
		compare_own(" secretmem ");
	if (guest >= 0)
		compare_own(" guest_memfd ");
	closep(&huge);
	closep(&secret);
	closep(&guest);
	closep(&null);
	closep(&zero);
	if (zeros)
		munmap(zeros, page_size);
	munmap(anonymous, 2 * page_size);
}

/* Lines of a that are in b too, and so did not change in between, but not in middle. */
static size_t count_missing(const char *a, const char *b, const char *middle, bool print)
{
	_cleanup_free_ char *copy = strdup(a);
	char *line, *rest = copy;
	size_t n = 0;

	assert_non_null(copy);
	while ((line = strsep(&rest, "\n"))) {
		if (!strstr(b, line) || strstr(middle, line))
			continue;
		n++;
		if (print)
			print_message("only one way: %s\n", line);
	}
	return n;
}

/* Others change what they hold and map all the time: what did not, must be the same. */
static void test_whole_system(void **state)
{
	size_t n = 1;

	(void)state;
	need_iterators();
	for (int i = 0; n > 0 && i < 5; i++) {
		enum discover_way way = i % 2 ? DISCOVER_PROC : DISCOVER_ITERATORS;
		enum discover_way other = i % 2 ? DISCOVER_ITERATORS : DISCOVER_PROC;
		_cleanup_free_ char *first = look_and_describe(way, NULL);
		_cleanup_free_ char *second = look_and_describe(other, NULL);
		_cleanup_free_ char *third = look_and_describe(way, NULL);
		_cleanup_free_ char *fourth = look_and_describe(other, NULL);

		n = count_missing(first, third, second, i == 4);
		n += count_missing(second, fourth, third, i == 4);
	}
	assert_int_equal(n, 0);
}

/* What can only go one way fails if the other is forced. */
static void test_ways(void **state)
{
	struct discover_options forced = {.way = DISCOVER_ITERATORS, .iterators = iterators};
	struct discovery d;

	(void)state;
	assert_int_equal(discover_with(&forced, &caps, "/proc", getpid(), &d), -EOPNOTSUPP);
	assert_int_equal(discover_with(&forced, &caps, "/proc/", 0, &d), -EOPNOTSUPP);
	assert_int_equal(discover_with(NULL, &caps, "/proc", getpid(), &d), 0);
	assert_int_equal(d.way, DISCOVER_PROC);
	discovery_done(&d);
	assert_int_equal(discover(&caps, "/proc", 0, &d), 0);
	assert_int_equal(d.way, iterators ? DISCOVER_ITERATORS : DISCOVER_PROC);
	discovery_done(&d);
}

/* Who may not load programs is told so, and gets an answer all the same. */
static void test_unprivileged(void **state)
{
	struct discover_options forced = {.way = DISCOVER_ITERATORS};
	struct iterators *none;
	struct discovery d;
	int error, automatic, r;

	(void)state;
	need_iterators();
	assert_int_equal(seteuid(65534), 0);
	error = iterators_new(&none);
	r = discover_with(&forced, &caps, "/proc", 0, &d);
	automatic = discover(&caps, "/proc", 0, &d);
	assert_int_equal(seteuid(0), 0);
	prctl(PR_SET_DUMPABLE, 1);
	assert_int_equal(error, -EPERM);
	assert_int_equal(r, -EPERM);
	assert_int_equal(automatic, 0);
	assert_int_equal(d.way, DISCOVER_PROC);
	discovery_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memfd),        cmocka_unit_test(test_tmpfs),
		cmocka_unit_test(test_long_path),    cmocka_unit_test(test_path_too_long),
		cmocka_unit_test(test_segments),     cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_whole_system), cmocka_unit_test(test_ways),
		cmocka_unit_test(test_unprivileged),
	};

	return cmocka_run_group_tests(tests, ways_setup, ways_teardown);
}
