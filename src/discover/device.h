/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which devices hold shared memory, and of which kind a file on one is. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/object.h"

/* What statfs says of a device: asked once, then remembered. */
struct device {
	dev_t dev;
	uint64_t magic;
	uint64_t block_size; /* bytes: the page size on hugetlbfs */
};

struct device_cache {
	void *tree; /* tsearch(3) of struct device */
};

void device_cache_done(struct device_cache *cache);

/*
 * The device; path (below dirfd) is a file on it, looked at only if the device is not known yet.
 * Returns 0 and *ret (borrowed from the cache), or a negative errno.
 */
int device_find(struct device_cache *cache, dev_t dev, int dirfd, const char *path,
		const struct device **ret);

/* The device that fd is on, anew. Returns 0 or a negative errno. */
int device_look(int fd, dev_t dev, struct device *ret);

/* The device if it is known already, else NULL. Borrowed. */
const struct device *device_known(struct device_cache *cache, dev_t dev);

/*
 * The kind of a regular file on device whose link in /proc is text, or -EINVAL if it is not shared
 * memory. shmem_dev: the kernel's own shmem mount.
 */
int device_object_kind(const struct device *device, dev_t shmem_dev, const char *text);

/*
 * The name that people know the object by, out of the link's text: a copy that the caller frees, or
 * NULL in *ret for kinds that have no names. Returns 0 or -ENOMEM.
 */
int object_name_from_link(enum object_kind kind, const char *text, char **ret);
