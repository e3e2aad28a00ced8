/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What users take and give back adds up, and who takes nothing leaves no trace. */

#include "unit.h"

#include "serve/ledger.h"

#define USERS 20

static void test_adds_up(void **state)
{
	struct ledger l;
	struct random random = {7};
	size_t of[USERS] = {0}, all = 0, total, of_user;

	(void)state;
	ledger_init(&l);
	for (int i = 0; i < 20000; i++) {
		uid_t uid = (uid_t)random_below(&random, USERS);
		size_t amount = random_below(&random, 1000);

		if (random_below(&random, 2)) {
			assert_int_equal(ledger_take(&l, uid, amount, &total, &of_user), 0);
			of[uid] += amount;
			all += amount;
			assert_int_equal(total, all);
			assert_int_equal(of_user, of[uid]);
		} else if (amount <= of[uid]) {
			ledger_give(&l, uid, amount);
			of[uid] -= amount;
			all -= amount;
		}
	}
	for (uid_t uid = 0; uid < USERS; uid++)
		ledger_give(&l, uid, of[uid]);
	assert_int_equal(l.total, 0);
	for (size_t i = 0; i < l.n_users; i++)
		assert_int_equal(l.users[i].amount, 0);
	ledger_done(&l);
}

/* Numbers of users are used once: the list does not grow with them. */
static void test_no_trace(void **state)
{
	size_t total, of_user;
	struct ledger l;

	(void)state;
	ledger_init(&l);
	for (uid_t uid = 0; uid < 10000; uid++) {
		assert_int_equal(ledger_take(&l, uid, 5, &total, &of_user), 0);
		ledger_give(&l, uid, 5);
	}
	assert_int_equal(l.n_users, 0);
	assert_true(l.n_allocated < 100);
	ledger_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adds_up),
		cmocka_unit_test(test_no_trace),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
