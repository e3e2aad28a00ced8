/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"
#include "probe/account.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

struct churn {
	int fd;
	uint64_t pages;
	atomic_bool stop;
};

/* Writes, punches, allocates, truncates and grows until it is told to stop. */
static void *churn(void *context)
{
	struct churn *c = context;
	struct random random = {.state = 8};

	while (!atomic_load(&c->stop)) {
		uint64_t page = random_below(&random, c->pages), n = 1 + random_below(&random, 50);

		switch (random_below(&random, 8)) {
		case 0:
			if (ftruncate(c->fd, (off_t)(page * page_size + 1)) < 0)
				return c;
			break;
		case 1:
			if (fallocate(c->fd, 0, (off_t)(page * page_size), (off_t)(n * page_size)) <
			    0)
				return c;
			break;
		case 2:
			if (fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)(page * page_size), (off_t)(n * page_size)) < 0)
				return c;
			break;
		default:
			if (pwrite(c->fd, "x", 1, (off_t)(page * page_size)) != 1)
				return c;
		}
	}
	return NULL;
}

/* What moves under the look: the counts add up to the object's pages, and no state is made up. */
static void test_while_it_changes(void **state)
{
	struct churn c = {.fd = new_object(40000 * page_size), .pages = 40000};
	struct probe_request request = request_of(c.fd, &caps);
	bool moved = false;
	pthread_t thread;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
	/* On a busy machine it may take a while until the two run at the same time. */
	for (int i = 0; i < 300 || (!moved && i < 100000); i++) {
		struct snapshot s = {0};

		assert_int_equal(probe_portable(&request, &s), 0);
		check_snapshot(&s);
		assert_int_equal(s.count, size_to_pages(s.size, page_size));
		assert_int_equal(s.counts[PAGE_POISONED], 0);
		moved |= !s.stable;
		snapshot_done(&s);
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_true(moved); /* and it is said */
	close(c.fd);
}

/* Page 1 comes and goes. */
static void *toggle(void *argument)
{
	struct churn *c = argument;

	while (!atomic_load(&c->stop))
		if (pwrite(c->fd, "x", 1, (off_t)page_size) != 1 ||
		    fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)page_size,
			      (off_t)page_size) < 0)
			return c;
	return NULL;
}

/* What holds still is told right while its neighbour moves, and no page is said to be lost. */
static void check_held_pages(const struct kcaps *with)
{
	struct churn c = {.fd = new_object(512 * page_size), .pages = 512};
	struct probe_request request = request_of(c.fd, with);
	unsigned wrong = 0;
	pthread_t thread;
	void *failed;
	time_t end = time(NULL) + 10; /* on a slow machine */

	allocate(c.fd, 0, 1, 0);
	write_page(c.fd, 2);
	write_page(c.fd, 511);
	assert_int_equal(pthread_create(&thread, NULL, toggle, &c), 0);
	for (int i = 0; i < 2000 && time(NULL) < end; i++) {
		struct account before = {0}, after = {0};
		struct snapshot s = {0};

		account_add_events(&before);
		assert_int_equal(probe_portable(&request, &s), 0);
		account_add_events(&after);
		/* Where others swap at this moment, so may these pages be. */
		if (pages_swapped(c.fd) == 0 && before.swap_ins == after.swap_ins &&
		    before.swap_outs == after.swap_outs) {
			wrong += !is_right(with, 'a', letter_of(state_of(&s, 0)));
			wrong += !is_right(with, 'P', letter_of(state_of(&s, 2)));
			wrong += !is_right(with, 'P', letter_of(state_of(&s, 511)));
			wrong += !is_right(with, '.', letter_of(state_of(&s, 3)));
			wrong += s.counts[PAGE_POISONED] > 0 || s.counts[PAGE_SWAPPED] > 0;
		}
		snapshot_done(&s);
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(wrong, 0);
	close(c.fd);
}

static void test_held_pages(void **state)
{
	(void)state;
	check_held_pages(&caps);
}

/* That as many pages have data as the object has blocks proves nothing while these come and go. */
static void test_held_pages_without_cachestat(void **state)
{
	struct kcaps lacking = caps;

	(void)state;
	lacking.error[KCAP_CACHESTAT] = -ENOSYS;
	check_held_pages(&lacking);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_while_it_changes),
		cmocka_unit_test(test_held_pages),
		cmocka_unit_test(test_held_pages_without_cachestat),
	};

	return cmocka_run_group_tests(tests, objects_setup, NULL);
}
