/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The two ways of discovery must agree on several processes and namespaces, and differ in threads
 * that have something of their own.
 */

#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "discover/open.h"

/* A process that is made ready by f(), and waits to be killed. */
static pid_t start(void (*f)(void))
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		f();
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void do_nothing(void)
{
}

static void test_several_holders(void **state)
{
	int fd = new_object(4 * page_size);
	char *shared = map_pages(fd, 4 * page_size, MAP_SHARED, 0);
	pid_t pids[9] = {getpid()};

	(void)state;
	need_iterators();
	for (size_t i = 1; i < ARRAY_SIZE(pids); i++)
		pids[i] = start(do_nothing);
	compare_ways(&(struct selection){pids, ARRAY_SIZE(pids)}, "shmstate-probe fd ");
	munmap(shared, 4 * page_size);
	close(fd);
	for (size_t i = 1; i < ARRAY_SIZE(pids); i++)
		stop(pids[i]);
}

/* In a namespace of its own the first segment has number 0. */
static void attach_first_segment(void)
{
	int id;

	if (unshare(CLONE_NEWIPC) == 0) {
		id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
		if (id >= 0)
			shmat(id, NULL, 0);
	}
}

static void test_twins(void **state)
{
	pid_t pids[2];

	(void)state;
	need_iterators();
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = start(attach_first_segment);
	compare_ways(&(struct selection){pids, ARRAY_SIZE(pids)}, " twin=1 name=SYSV00000000 map ");
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		stop(pids[i]);
}

static void *wait_forever(void *context)
{
	(void)context;
	for (;;)
		pause();
	return NULL;
}

/* Its descriptors are its own from here on; what it makes, no other thread has. */
static void *hold_alone(void *context)
{
	int fd;

	if (unshare(CLONE_FILES) < 0)
		_exit(1);
	fd = memfd_create("thread's own", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 4096) < 0 || write(*(int *)context, "x", 1) != 1)
		_exit(1);
	return wait_forever(NULL);
}

/* The only object of that name; asserts that it is there, held by pid once, and can be opened. */
static void check_thread_object(const char *name, pid_t pid, size_t n_mappers)
{
	const struct object *found = NULL;
	struct discovery d;
	int fd;

	assert_int_equal(look(DISCOVER_ITERATORS, &d), 0);
	for (size_t i = 0; i < d.n_objects; i++)
		if (d.objects[i]->name && strcmp(d.objects[i]->name, name) == 0)
			found = d.objects[i];
	assert_non_null(found);
	assert_int_equal(found->n_holders, 1);
	assert_int_equal(found->holders[0].pid, pid);
	assert_int_equal(found->n_mappers, n_mappers);
	fd = object_open(&d, found);
	assert_true(fd >= 0);
	close(fd);
	discovery_done(&d);
}

static void test_thread_alone(void **state)
{
	pthread_t thread;
	int ready[2];
	char c;

	(void)state;
	need_iterators();
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&thread, NULL, hold_alone, &ready[1]), 0);
	assert_int_equal(read(ready[0], &c, 1), 1);
	check_thread_object("thread's own", getpid(), 0);
	assert_int_equal(pthread_cancel(thread), 0);
	pthread_join(thread, NULL);
	close(ready[0]);
	close(ready[1]);
}

static void *leave_first_thread_behind(void *context)
{
	pthread_t threads[2];

	pthread_join(*(pthread_t *)context, NULL); /* by then it has exited */
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		if (pthread_create(&threads[i], NULL, wait_forever, NULL) != 0)
			_exit(1);
	return wait_forever(NULL);
}

static pthread_t first_thread;

static void lose_first_thread(void)
{
	int fd = memfd_create("bereaved", MFD_CLOEXEC);
	pthread_t thread;

	if (fd < 0 || ftruncate(fd, 4096) < 0 ||
	    mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		_exit(1);
	first_thread = pthread_self();
	if (pthread_create(&thread, NULL, leave_first_thread_behind, &first_thread) != 0)
		_exit(1);
}

static bool is_bereaved(pid_t pid)
{
	char path[64], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return strstr(text, ") Z ");
}

static void test_first_thread_gone(void **state)
{
	pid_t pid;

	(void)state;
	need_iterators();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		lose_first_thread();
		pthread_exit(NULL);
	}
	for (int i = 0; i < 500 && !is_bereaved(pid); i++)
		usleep(10000);
	check_thread_object("bereaved", pid, 1);
	stop(pid);
}

/* Runs f in a process of its own, for what cannot be undone. It returns 0, 77 (skip) or 1. */
static void run_apart(int (*f)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* namespaces or mounts are denied */
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Both ways of our namespace; the programs must be able to tell it, as they were loaded above. */
static bool agree(const char *contains)
{
	_cleanup_free_ char *by_proc = look_and_describe(DISCOVER_PROC, NULL);
	_cleanup_free_ char *by_iterators = look_and_describe(DISCOVER_ITERATORS, NULL);

	return strcmp(by_proc, by_iterators) == 0 && strstr(by_proc, contains);
}

static int look_from_namespace(void)
{
	struct discovery d;

	/* /proc is still that of the namespace above: the iterators must not be mixed with it. */
	if (look(DISCOVER_ITERATORS, &d) != -EOPNOTSUPP)
		return 1;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0)
		return 77;
	memfd_create("in the namespace", MFD_CLOEXEC);
	return agree("in\\20the\\20namespace fd 1:") ? 0 : 1;
}

static int enter_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC) < 0)
		return 77;
	pid = fork();
	if (pid == 0)
		_exit(look_from_namespace());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

static void test_pid_namespace(void **state)
{
	(void)state;
	need_iterators();
	run_apart(enter_namespace);
}

/* A file of an overlay is no shared memory, though what is below it may be. */
static int map_overlay(void)
{
	static const char options[] = "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w";
	pid_t pid = getpid();
	struct selection own = {&pid, 1};
	_cleanup_free_ char *by_proc = NULL, *by_iterators = NULL;
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir("/tmp/l", 0700) < 0 ||
	    mkdir("/tmp/u", 0700) < 0 || mkdir("/tmp/w", 0700) < 0 || mkdir("/tmp/m", 0700) < 0 ||
	    mount("overlay", "/tmp/m", "overlay", 0, options) < 0)
		return 77;
	fd = make_file_at(AT_FDCWD, "/tmp/m/file");
	map_pages(fd, page_size, MAP_SHARED, 0);
	map_pages(fd, page_size, MAP_PRIVATE, 0);
	by_proc = look_and_describe(DISCOVER_PROC, &own);
	by_iterators = look_and_describe(DISCOVER_ITERATORS, &own);
	return strcmp(by_proc, by_iterators) == 0 ? 0 : 1;
}

static void test_overlay(void **state)
{
	(void)state;
	need_iterators();
	run_apart(map_overlay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_several_holders), cmocka_unit_test(test_twins),
		cmocka_unit_test(test_thread_alone),    cmocka_unit_test(test_first_thread_gone),
		cmocka_unit_test(test_pid_namespace),   cmocka_unit_test(test_overlay),
	};

	return cmocka_run_group_tests(tests, ways_setup, ways_teardown);
}
