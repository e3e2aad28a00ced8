/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "serve/peer.h"
#include "util/util.h"

/* The kernel says how much room it wants. */
static int read_groups(int fd, struct peer *p)
{
	socklen_t size = 64 * sizeof(gid_t);

	for (;;) {
		gid_t *groups = malloc(size);

		if (!groups)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
			p->groups = groups;
			p->n_groups = size / sizeof(gid_t);
			return 0;
		}
		free(groups);
		if (errno != ERANGE)
			return -errno;
	}
}

int peer_read(int fd, struct peer *ret)
{
	struct peer p = {0};
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	p.pid = cred.pid;
	p.uid = cred.uid;
	p.gid = cred.gid;
	r = read_groups(fd, &p);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}

void peer_done(struct peer *p)
{
	free(p->groups);
	*p = (struct peer){0};
}

int peer_copy(const struct peer *p, struct peer *ret)
{
	struct peer copy = *p;

	copy.groups = calloc(p->n_groups + 1, sizeof(*copy.groups));
	if (!copy.groups)
		return -ENOMEM;
	if (p->n_groups > 0)
		memcpy(copy.groups, p->groups, p->n_groups * sizeof(*copy.groups));
	*ret = copy;
	return 0;
}

bool peer_in_group(const struct peer *p, gid_t group)
{
	if (p->gid == group)
		return true;
	for (size_t i = 0; i < p->n_groups; i++)
		if (p->groups[i] == group)
			return true;
	return false;
}
