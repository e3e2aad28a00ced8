/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "probe/generation.h"

/* The layout of a shmem handle (mm/shmem.c, shmem_encode_fh): generation, inode number low, high.
 */
#define SHMEM_HANDLE_BYTES (3 * sizeof(uint32_t))
#define SHMEM_HANDLE_TYPE 1

static int generation_at(int dirfd, const char *path, int flags, uint32_t *ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;

	if (name_to_handle_at(dirfd, path, &u.handle, &mount_id, flags) < 0)
		return -errno;
	if (u.handle.handle_bytes != SHMEM_HANDLE_BYTES ||
	    u.handle.handle_type != SHMEM_HANDLE_TYPE)
		return -EOPNOTSUPP;
	memcpy(ret, u.handle.f_handle, sizeof(*ret));
	return 0;
}

int generation_of_fd(int fd, uint32_t *ret)
{
	return generation_at(fd, "", AT_EMPTY_PATH, ret);
}

int generation_of_path(int dirfd, const char *path, uint32_t *ret)
{
	return generation_at(dirfd, path, AT_SYMLINK_FOLLOW, ret);
}
