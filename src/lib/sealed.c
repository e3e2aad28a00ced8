/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sealed.h"

/* What cannot be cut short cannot raise SIGBUS, and what cannot change stays as it was checked. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_WRITE)

int sealed_read(int fd, void *header, size_t n, uint64_t *ret_size)
{
	struct stat st;
	ssize_t got;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return errno == EBADF ? -EBADF : -EBADMSG;
	if ((seals & SEALS) != SEALS)
		return -EBADMSG;
	if (fstat(fd, &st) < 0)
		return -errno;
	got = pread(fd, header, n, 0);
	if (got < 0)
		return -errno;
	if ((size_t)got < n)
		return -EBADMSG;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int sealed_map(int fd, uint64_t size, void **ret)
{
	void *p;

	if (size > SIZE_MAX)
		return -EFBIG;
	/* Before Linux 6.7 what is sealed against writing cannot be mapped as shared. */
	p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}
