/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "probe/mapping.h"

void *mapping_new(void *where, uint64_t size, int fd, off_t offset)
{
	void *address = mmap(where, size, PROT_NONE, MAP_SHARED, fd, offset);

	if (address == MAP_FAILED)
		return NULL;
	/* It fails where the kernel has no large folios. */
	(void)madvise(address, size, MADV_NOHUGEPAGE);
	return address;
}

void mapping_keep_khugepaged_out(void)
{
	/* It fails where the kernel has no large folios. */
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}
