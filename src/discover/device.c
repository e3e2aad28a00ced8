/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "discover/device.h"
#include "util/util.h"

/* linux/magic.h; the last two are not in the headers of every Debian that we build on. */
#define MAGIC_TMPFS 0x01021994
#define MAGIC_HUGETLBFS 0x958458f6
#define MAGIC_ANON_INODE 0x09041934
#define MAGIC_SECRETMEM 0x5345434d
#define MAGIC_GUEST_MEMFD 0x474d454d

static const char deleted_suffix[] = " (deleted)";

static int device_compare(const void *a, const void *b)
{
	dev_t x = ((const struct device *)a)->dev, y = ((const struct device *)b)->dev;

	return x < y ? -1 : x > y;
}

void device_cache_done(struct device_cache *cache)
{
	tdestroy(cache->tree, free);
	cache->tree = NULL;
}

int device_look(int fd, dev_t dev, struct device *ret)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	*ret = (struct device){
		.dev = dev,
		.magic = (uint64_t)fs.f_type & UINT32_MAX,
		.block_size = (uint64_t)fs.f_bsize,
	};
	return 0;
}

const struct device *device_known(struct device_cache *cache, dev_t dev)
{
	struct device key = {.dev = dev};
	void *node = tfind(&key, &cache->tree, device_compare);

	return node ? *(struct device **)node : NULL;
}

int device_find(struct device_cache *cache, dev_t dev, int dirfd, const char *path,
		const struct device **ret)
{
	const struct device *known = device_known(cache, dev);
	_cleanup_free_ struct device *device = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (known) {
		*ret = known;
		return 0;
	}
	/* O_PATH opens the name, not the object. */
	fd = openat(dirfd, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	device = malloc(sizeof(*device));
	if (!device)
		return -ENOMEM;
	r = device_look(fd, dev, device);
	if (r < 0)
		return r;
	if (!tsearch(device, &cache->tree, device_compare))
		return -ENOMEM;
	*ret = TAKE_PTR(device);
	return 0;
}

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static enum object_kind internal_kind(const char *text)
{
	if (starts_with(text, "/memfd:"))
		return OBJECT_MEMFD;
	if (starts_with(text, "/SYSV"))
		return OBJECT_SYSV;
	if (starts_with(text, "/dev/zero"))
		return OBJECT_ANON;
	return OBJECT_SHMEM;
}

int device_object_kind(const struct device *device, dev_t shmem_dev, const char *text)
{
	switch (device->magic) {
	case MAGIC_TMPFS:
		return device->dev == shmem_dev ? (int)internal_kind(text) : OBJECT_TMPFS;
	case MAGIC_HUGETLBFS:
		return OBJECT_HUGETLB;
	case MAGIC_SECRETMEM:
		return OBJECT_SECRETMEM;
	case MAGIC_GUEST_MEMFD:
		return OBJECT_GUEST_MEMFD;
	case MAGIC_ANON_INODE:
		/* Before 7.x guest_memfd had no file system of its own. */
		return strstr(text, "[kvm-gmem]") ? OBJECT_GUEST_MEMFD : -EINVAL;
	}
	return -EINVAL;
}

static bool kind_has_name(enum object_kind kind, const char *text)
{
	switch (kind) {
	case OBJECT_MEMFD:
	case OBJECT_TMPFS:
	case OBJECT_SYSV:
	case OBJECT_SHMEM:
		return true;
	case OBJECT_HUGETLB:
		return !starts_with(text, "/anon_hugepage");
	case OBJECT_ANON:
	case OBJECT_SECRETMEM:
	case OBJECT_GUEST_MEMFD:
	case OBJECT_KIND_MAX:
		break;
	}
	return false;
}

int object_name_from_link(enum object_kind kind, const char *text, char **ret)
{
	size_t len = strlen(text), suffix = strlen(deleted_suffix);
	char *name;

	if (!kind_has_name(kind, text)) {
		*ret = NULL;
		return 0;
	}
	if (len > suffix && strcmp(text + len - suffix, deleted_suffix) == 0)
		len -= suffix;
	if (kind != OBJECT_TMPFS && starts_with(text, "/memfd:")) {
		text += strlen("/memfd:");
		len -= strlen("/memfd:");
	} else if (kind != OBJECT_TMPFS && starts_with(text, "/SYSV")) {
		text++;
		len--;
	}
	name = strndup(text, len);
	if (!name)
		return -ENOMEM;
	*ret = name;
	return 0;
}
