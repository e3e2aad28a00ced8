/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "discover/target.h"
#include "probe/generation.h"
#include "util/util.h"

void target_done(struct target *t)
{
	closep(&t->fd);
	free(t->real);
	*t = (struct target){.fd = -1};
}

/* All but the descriptor. */
static int describe(struct target *t, const char *path)
{
	int r;

	if (fstat(t->fd, &t->st) < 0)
		return -errno;
	if (!S_ISREG(t->st.st_mode))
		return -ENOTTY;
	r = device_look(t->fd, t->st.st_dev, &t->device);
	if (r < 0)
		return r;
	t->have_generation = generation_of_fd(t->fd, &t->generation) == 0;
	t->real = realpath(path, NULL);
	return t->real ? 0 : -errno;
}

/* Takes fd over. */
static int find(int fd, const char *path, struct target *ret)
{
	struct target t = {.fd = fd};
	int r = describe(&t, path);

	if (r < 0) {
		target_done(&t);
		return r;
	}
	*ret = t;
	return 0;
}

int target_find(const char *path, struct target *ret)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : find(fd, path, ret);
}

int target_of(int fd, struct target *ret)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return find(fd, path, ret);
}

int target_find_by(const struct target_finder *finder, const char *path, struct target *ret)
{
	return finder ? finder->find(finder->context, path, ret) : target_find(path, ret);
}
