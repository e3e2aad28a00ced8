/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/generation.h"
#include "track/identity.h"

int identity_of_fd(int fd, struct identity *ret)
{
	struct identity id = {0};
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_BTIME, &x) < 0)
		return -errno;
	id.dev = makedev(x.stx_dev_major, x.stx_dev_minor);
	id.ino = x.stx_ino;
	if (x.stx_mask & STATX_BTIME)
		id.birth = (uint64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec;
	id.certain = generation_of_fd(fd, &id.generation) >= 0 || id.birth != 0;
	*ret = id;
	return 0;
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int identity_compare(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;
	int r = compare(x->ino, y->ino);

	if (r == 0)
		r = compare(x->dev, y->dev);
	if (r == 0)
		r = compare(x->generation, y->generation);
	return r == 0 ? compare(x->birth, y->birth) : r;
}
