/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "serve/ledger.h"
#include "util/array.h"

void ledger_init(struct ledger *l)
{
	*l = (struct ledger){0};
	pthread_mutex_init(&l->lock, NULL);
}

void ledger_done(struct ledger *l)
{
	free(l->users);
	pthread_mutex_destroy(&l->lock);
}

/* The user's entry; NULL: there is none. */
static struct ledger_user *find(struct ledger *l, uid_t uid)
{
	for (size_t i = 0; i < l->n_users; i++)
		if (l->users[i].uid == uid)
			return &l->users[i];
	return NULL;
}

static struct ledger_user *find_or_add(struct ledger *l, uid_t uid)
{
	struct ledger_user *u = find(l, uid);

	if (u)
		return u;
	if (ARRAY_RESERVE(&l->users, &l->n_allocated, l->n_users) < 0)
		return NULL;
	u = &l->users[l->n_users++];
	*u = (struct ledger_user){.uid = uid};
	return u;
}

int ledger_take(struct ledger *l, uid_t uid, size_t amount, size_t *ret_total, size_t *ret_of_user)
{
	struct ledger_user *u;

	pthread_mutex_lock(&l->lock);
	u = find_or_add(l, uid);
	if (u) {
		l->total += amount;
		u->amount += amount;
		*ret_total = l->total;
		*ret_of_user = u->amount;
	}
	pthread_mutex_unlock(&l->lock);
	return u ? 0 : -ENOMEM;
}

bool ledger_is_passed(bool privileged, size_t total, size_t of_user, struct busy *ret)
{
	const size_t most = LEDGER_BYTES_MAX;

	if (total > most)
		*ret = (struct busy){BUSY_HELD_BYTES, most};
	else if (!privileged && total > most / 2)
		*ret = (struct busy){BUSY_HELD_BYTES_OF_OTHERS, most / 2};
	else if (!privileged && of_user > most / 8)
		*ret = (struct busy){BUSY_HELD_BYTES_OF_USER, most / 8};
	else
		return false;
	return true;
}

void ledger_give(struct ledger *l, uid_t uid, size_t amount)
{
	struct ledger_user *u;

	pthread_mutex_lock(&l->lock);
	u = find(l, uid);
	if (u) {
		l->total -= amount;
		u->amount -= amount;
	}
	/* Entries that stand for nothing would add up. */
	if (u && u->amount == 0)
		*u = l->users[--l->n_users];
	pthread_mutex_unlock(&l->lock);
}
