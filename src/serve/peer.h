/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is at the other end of a connection, as the kernel noted it when the client connected. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Owns groups. */
struct peer {
	pid_t pid; /* for messages only: numbers are used again */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* the supplementary ones */
	size_t n_groups;
};

/* Returns 0 or a negative errno. */
int peer_read(int fd, struct peer *ret);
void peer_done(struct peer *p);

/* Returns 0 or -ENOMEM. */
int peer_copy(const struct peer *p, struct peer *ret);

bool peer_in_group(const struct peer *p, gid_t group);
