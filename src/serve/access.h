/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who may ask what: here and nowhere else. Which pages of an object are in RAM tells what those who
 * use it do, so whoever may not write to an object is told nothing of it, as the kernel has it for
 * mincore(2). The table of rules is in shmstated(8).
 */

#include "model/object.h"
#include "serve/peer.h"
#include "serve/question.h"

enum access_rule {
	ACCESS_EVERYTHING,          /* root and the group may ask anything */
	ACCESS_WRITABLE_DESCRIPTOR, /* others: a passed descriptor that is open for writing */
	ACCESS_OWNER,               /* others: objects that are theirs */
	ACCESS_PTRACE,              /* others: processes that the kernel would let them read */
	ACCESS_LOCATE,              /* nobody else is told slots of the swap */
	ACCESS_RULE_MAX,
};

/* Its name in shmstated(8). */
const char *access_rule_to_string(enum access_rule rule);

/* Whose requests are granted whatever they are about. have_group: there is such a group. */
struct access_policy {
	bool have_group;
	gid_t group;
};

bool access_is_privileged(const struct access_policy *policy, const struct peer *peer);

/*
 * For the rest, on behalf of one request in one thread. It remembers which processes may be read.
 * Owns known.
 */
struct access {
	const struct peer *peer; /* borrowed */
	bool privileged;
	struct access_known {
		pid_t pid;
		bool readable;
	} * known;
	size_t n_known, n_allocated;
};

void access_done(struct access *a);

/* What can be said before anything is looked at. Returns 0, or -EPERM and the rule. */
int access_question(const struct access *a, const struct question *q, enum access_rule *ret_rule);

/*
 * Would the kernel let the peer read the process (PTRACE_MODE_READ)? It is asked, by this thread,
 * with the peer's credentials. Returns 0, -EPERM, -ESRCH, or another negative errno.
 */
int access_process(struct access *a, pid_t pid);

/*
 * The same, anew, once something was found in it: it may have begun another program meanwhile, one
 * that is set-user-ID, or its number may be another's.
 */
int access_process_again(struct access *a, pid_t pid);

/*
 * What a path leads to, with the peer's rights, and not by way of what a process has open: that
 * would tell it of the process. Returns a descriptor (O_PATH), or a negative errno.
 */
int access_path(const struct peer *peer, const char *path);

/*
 * May the peer be told that there is this object? If it may read a process that holds or maps it.
 * Returns 0, -EPERM, or another negative errno.
 */
int access_object(struct access *a, const struct object *o);

/*
 * May it be told what its pages are? fd: of the object. If the object is the peer's own; or if the
 * above holds, and it may write to it. Returns 0, -EPERM, or another negative errno.
 */
int access_states(struct access *a, const struct object *o, int fd);

/*
 * The same by what the object itself is alone, whoever has it: for what is known of an object from
 * before, for who had it then may not any more.
 */
bool access_is_own(const struct access *a, int fd);

/*
 * Takes away holders and mappers that the peer may not see. Returns how many, or a negative errno.
 */
int access_strip(struct access *a, struct object *o);
