/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "serve/ledger.h"
#include "util/array.h"

/* In all. */
#define HELD_BYTES_MAX ((size_t)512 << 20)

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

size_t ledger_limit_passed(bool privileged, size_t total, size_t of_user)
{
	if (total > (privileged ? HELD_BYTES_MAX : HELD_BYTES_MAX / 2))
		return HELD_BYTES_MAX;
	return !privileged && of_user > HELD_BYTES_MAX / 8 ? HELD_BYTES_MAX / 8 : 0;
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
