/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who takes how much memory, in all threads. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "serve/busy.h"

/* In all, bytes. */
#define LEDGER_BYTES_MAX ((size_t)512 << 20)

/* There is about as much of memory as of descriptors, if one counts as this many bytes. */
#define LEDGER_DESCRIPTOR_BYTES 65536

/* Owns users. */
struct ledger {
	pthread_mutex_t lock;
	size_t total;
	struct ledger_user {
		uid_t uid;
		size_t amount;
	} * users; /* that take anything */
	size_t n_users, n_allocated;
};

void ledger_init(struct ledger *l);
void ledger_done(struct ledger *l);

/*
 * Takes more. *ret_total and *ret_of_user are then what all take and what this user does. Returns 0
 * or -ENOMEM, and then nothing was taken.
 */
int ledger_take(struct ledger *l, uid_t uid, size_t amount, size_t *ret_total, size_t *ret_of_user);

/*
 * Results, replies and calls are kept for as long as clients take to read or to write them. Other
 * users never take so much that there is nothing left for each other, or for whom the service is
 * there. Returns whether a limit has been passed, and which.
 */
bool ledger_is_passed(bool privileged, size_t total, size_t of_user, struct busy *ret);

/* Gives back what was taken. */
void ledger_give(struct ledger *l, uid_t uid, size_t amount);
