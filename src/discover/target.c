/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
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

int target_find(const char *path, struct target *ret)
{
	struct target t = {.fd = open(path, O_PATH | O_CLOEXEC)};
	int r;

	if (t.fd < 0)
		return -errno;
	r = describe(&t, path);
	if (r < 0) {
		target_done(&t);
		return r;
	}
	*ret = t;
	return 0;
}

int target_find_by(const struct target_finder *finder, const char *path, struct target *ret)
{
	return finder ? finder->find(finder->context, path, ret) : target_find(path, ret);
}
