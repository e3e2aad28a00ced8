/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "util/file.h"
#include "util/util.h"

/* Files of /proc have no size: read until the end, doubling. */
ssize_t file_read_at(int dirfd, const char *path, char **ret)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t room = 16384, len = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		char *bigger = realloc(text, room);
		ssize_t n;

		if (!bigger)
			return -ENOMEM;
		text = bigger;
		n = read(fd, text + len, room - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (room - len < 4096)
			room *= 2;
	}
	text[len] = '\0';
	*ret = TAKE_PTR(text);
	return (ssize_t)len;
}

int link_read_at(int dirfd, const char *path, char **ret)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, path, target, sizeof(target));
	char *copy;

	if (n < 0)
		return -errno;
	if ((size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	target[n] = '\0';
	copy = strdup(target);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}
