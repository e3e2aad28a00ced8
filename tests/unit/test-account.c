/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <sys/mman.h>

#include "probe/account.h"

/* A reading of an object that last changed a minute ago. */
static const struct account calm = {
	.size = 40960,
	.pages = 10,
	.blocks = 8,
	.changed = {.tv_sec = 1000, .tv_nsec = 500},
	.now = {.tv_sec = 1060, .tv_nsec = 0},
	.have_swapped = true,
	.swapped = 3,
	.have_beyond = true,
	.beyond = 0,
	.have_events = true,
	.swap_ins = 77,
	.swap_outs = 99,
};

static void test_nothing_happened(void **state)
{
	struct account before = calm, after = calm;

	(void)state;
	after.now.tv_sec++; /* time passes */
	assert_true(account_is_quiet(&before, &after));
}

/* Each of these alone may be a page that changed state. */
static void test_any_change_is_noise(void **state)
{
	struct account changed[] = {calm, calm, calm, calm, calm, calm, calm, calm};

	(void)state;
	changed[0].size += 1;
	changed[1].blocks -= 1;
	changed[2].swapped += 1;
	changed[3].swap_ins += 1;
	changed[4].swap_outs += 1;
	changed[5].changed.tv_nsec += 1;
	changed[6].changed.tv_sec += 1;
	changed[7].beyond = 1; /* such pages may be freed without a trace */
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		assert_false(account_is_quiet(&calm, &changed[i]));
		assert_false(account_is_quiet(&changed[i], &calm));
	}
}

static void test_what_is_not_known_proves_nothing(void **state)
{
	struct account lacking[] = {calm, calm, calm};

	(void)state;
	lacking[0].have_swapped = false;
	lacking[1].have_beyond = false;
	lacking[2].have_events = false;
	for (size_t i = 0; i < ARRAY_SIZE(lacking); i++) {
		assert_false(account_is_quiet(&calm, &lacking[i]));
		assert_false(account_is_quiet(&lacking[i], &calm));
		assert_false(account_is_quiet(&lacking[i], &lacking[i]));
	}
}

/* ctime moves in steps of a tick: a second change within one tick leaves it as it is. */
static void test_fresh_changes(void **state)
{
	struct account before = calm;

	(void)state;
	before.now = before.changed;
	assert_false(account_is_quiet(&before, &calm));
	before.now.tv_nsec += 10000000; /* a tick of HZ=100 */
	assert_false(account_is_quiet(&before, &calm));
	before.now.tv_nsec = before.changed.tv_nsec + 50000000;
	assert_true(account_is_quiet(&before, &calm));
	/* The clock was set back: nothing is known. */
	before.now.tv_sec = before.changed.tv_sec - 10;
	assert_false(account_is_quiet(&before, &calm));
	/* A change a moment before the second's border. */
	before = calm;
	before.changed = (struct timespec){.tv_sec = 999, .tv_nsec = 999999000};
	before.now = (struct timespec){.tv_sec = 1000, .tv_nsec = 1000};
	assert_false(account_is_quiet(&before, &before));
}

static void test_is_whole(void **state)
{
	struct account a = calm;

	(void)state;
	assert_true(account_is_whole(&a));
	a.have_swapped = false;
	assert_false(account_is_whole(&a));
	a = calm;
	a.have_beyond = false;
	assert_false(account_is_whole(&a));
	a = calm;
	a.beyond = 1;
	assert_false(account_is_whole(&a));
}

static int new_memfd(off_t size)
{
	int fd = memfd_create("shmstate-account", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void test_read(void **state)
{
	struct account a = {0};
	struct kcaps caps;
	int fd;

	(void)state;
	assert_int_equal(kcaps_probe(&caps), 0);
	fd = new_memfd((off_t)(10 * caps.page_size + 1));
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)(9 * caps.page_size)), 1);
	assert_int_equal(account_read(fd, &caps, &a), 0);
	assert_int_equal(a.size, 10 * caps.page_size + 1);
	assert_int_equal(a.pages, 11);
	assert_int_equal(a.blocks, 2);
	assert_int_equal(a.have_swapped, kcaps_has(&caps, KCAP_SMAPS));
	assert_int_equal(a.swapped, 0);
	assert_int_equal(a.have_beyond, kcaps_has(&caps, KCAP_CACHESTAT));
	assert_int_equal(a.beyond, 0);
	close(fd);
}

/* A kernel without cachestat: pages beyond the end cannot be counted, so nothing is proved. */
static void test_read_without_cachestat(void **state)
{
	struct account a = {0};
	struct kcaps caps;
	int fd;

	(void)state;
	assert_int_equal(kcaps_probe(&caps), 0);
	caps.error[KCAP_CACHESTAT] = -ENOSYS;
	fd = new_memfd((off_t)caps.page_size);
	assert_int_equal(account_read(fd, &caps, &a), 0);
	assert_false(a.have_beyond);
	assert_false(account_is_whole(&a));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_happened),
		cmocka_unit_test(test_any_change_is_noise),
		cmocka_unit_test(test_what_is_not_known_proves_nothing),
		cmocka_unit_test(test_fresh_changes),
		cmocka_unit_test(test_is_whole),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_without_cachestat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
