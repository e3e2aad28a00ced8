/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A kernel that lacks cachestat: in core, unless a process that has the page mapped proves more. */
static void test_without_cachestat(void **state)
{
	static const char letters[] = "PPPP..PP";
	struct kcaps lacking = caps;
	int fd = make(letters);
	struct probe_request request = request_of(fd, &lacking);
	struct snapshot s = {0};

	(void)state;
	lacking.error[KCAP_CACHESTAT] = -ENOSYS;
	usleep(30000); /* the kernel's counters could prove more, if they were whole */
	assert_int_equal(probe_portable(&request, &s), 0);
	compare(fd, &s, &lacking, letters);
	if (pages_swapped(fd) > 0)
		skip();
	assert_int_equal(s.counts[PAGE_IN_CORE], 6);
	assert_int_equal(s.counts[PAGE_PRESENT], 0);
	assert_true(s.reasons & SNAPSHOT_NO_CACHESTAT);
	assert_false(s.sources & SOURCE_CACHESTAT);
	assert_false(snapshot_is_incomplete(&s, PAGE_STATE_BIT(PAGE_SWAPPED)) &&
		     s.counts[PAGE_UNKNOWN] == 0);
	assert_true(snapshot_is_incomplete(&s, PAGE_STATE_BIT(PAGE_PRESENT)));
	snapshot_done(&s);
	close(fd);
}

static void test_witness(void **state)
{
	struct kcaps lacking = caps;
	int fd = make("PPPP..PP");
	struct probe_request request = request_of(fd, &lacking);
	struct probe_witness witness = {.pid = getpid(), .first = 2, .count = 6};
	volatile char *map;
	struct snapshot s = {0};

	(void)state;
	lacking.error[KCAP_CACHESTAT] = -ENOSYS;
	map = mmap(NULL, 6 * page_size, PROT_READ, MAP_SHARED, fd, (off_t)(2 * page_size));
	assert_true(map != MAP_FAILED);
	/* No fault may bring in the neighbours too. */
	madvise((void *)(uintptr_t)map, 6 * page_size, MADV_RANDOM);
	assert_int_equal(map[1 * page_size], 'x'); /* page 3 of the object */
	witness.page = (uintptr_t)map / page_size;
	request.witnesses = &witness;
	request.n_witnesses = 1;
	assert_int_equal(probe_portable(&request, &s), 0);
	check_snapshot(&s);
	munmap((void *)(uintptr_t)map, 6 * page_size);
	if (pages_swapped(fd) > 0)
		skip();
	if (kcaps_has(&caps, KCAP_PAGEMAP)) {
		assert_int_equal(state_of(&s, 3), PAGE_PRESENT);
		assert_true(s.sources & SOURCE_PAGEMAP);
	}
	assert_int_equal(state_of(&s, 0), PAGE_IN_CORE); /* not mapped by the witness */
	assert_int_equal(state_of(&s, 1), PAGE_IN_CORE);
	assert_int_equal(s.counts[PAGE_PRESENT] + s.counts[PAGE_IN_CORE], 6);
	snapshot_done(&s);
	close(fd);
}

static void test_allocated_without_cachestat(void **state)
{
	struct kcaps lacking = caps;
	int fd = make("PaP.");
	struct probe_request request = request_of(fd, &lacking);
	struct snapshot s = {0};

	(void)state;
	lacking.error[KCAP_CACHESTAT] = -ENOSYS;
	assert_int_equal(probe_portable(&request, &s), 0);
	check_snapshot(&s);
	if (pages_swapped(fd) > 0)
		skip();
	assert_int_equal(s.counts[PAGE_UNKNOWN], 2);
	assert_int_equal(s.counts[PAGE_IN_CORE], 2);
	assert_true(s.reasons & SNAPSHOT_ALLOCATED_UNPLACED);
	assert_true(snapshot_is_incomplete(&s, PAGE_STATE_BIT(PAGE_HOLE)));
	snapshot_done(&s);
	close(fd);
}

static bool forbid_cachestat(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 451, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a process of its own: 0, 1 (wrong) or 2 (it cannot be tried). */
static int try_without_cachestat(void)
{
	static const char letters[] = "PPPP....PP.P", *got_letters = "cccc....cc.c";
	struct snapshot s = {0};
	struct probe_request request;
	int fd = memfd_create("shmstate-lacking", MFD_CLOEXEC), wrong = 0;

	if (!forbid_cachestat() || kcaps_probe(&caps) < 0)
		return 2;
	if (caps.error[KCAP_CACHESTAT] != -ENOSYS ||
	    ftruncate(fd, (off_t)(strlen(letters) * page_size)) < 0)
		return 1;
	for (uint64_t i = 0; letters[i]; i++)
		if (letters[i] == 'P' && pwrite(fd, "x", 1, (off_t)(i * page_size)) != 1)
			return 1;
	/* Of an object that was changed within the last timer ticks nothing can be proven. */
	usleep(50000);
	request = request_of(fd, &caps);
	if (probe_portable(&request, &s) < 0)
		return 1;
	for (uint64_t i = 0; letters[i] && pages_swapped(fd) == 0; i++)
		wrong |= letter_of(state_of(&s, i)) != got_letters[i];
	wrong |= s.count != strlen(letters) || !s.stable || (s.sources & SOURCE_CACHESTAT) ||
		 !(s.reasons & SNAPSHOT_NO_CACHESTAT);
	snapshot_done(&s);
	close(fd);
	return wrong;
}

static void test_kernel_without_cachestat(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(try_without_cachestat());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_cachestat),
		cmocka_unit_test(test_witness),
		cmocka_unit_test(test_allocated_without_cachestat),
		cmocka_unit_test(test_kernel_without_cachestat),
	};

	return cmocka_run_group_tests(tests, objects_setup, NULL);
}
