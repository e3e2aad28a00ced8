/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/try.h"
#include "util/util.h"

/* Only a fault in a mapping can ask for a small folio; write(2) takes what the system is set to. */
int try_object_write(int fd, uint64_t page_size, uint64_t page)
{
	char *p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)(page * page_size));

	if (p == MAP_FAILED)
		return -errno;
	/* It fails where the kernel has no large folios. */
	(void)madvise(p, page_size, MADV_NOHUGEPAGE);
	/* It leaves no mark that the page was used, so that it has as few flags as may be. */
	(void)madvise(p, page_size, MADV_RANDOM);
	*p = 'x';
	munmap(p, page_size);
	return 0;
}

int try_object_create(uint64_t page_size, uint64_t pages, const uint64_t *written, size_t n)
{
	_cleanup_close_ int fd = memfd_create("shmstate-try", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(pages * page_size)) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		int r = try_object_write(fd, page_size, written[i]);

		if (r < 0)
			return r;
	}
	return TAKE_FD(fd);
}
