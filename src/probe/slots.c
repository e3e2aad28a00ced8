/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/cachestat.h"
#include "probe/slots.h"

int slots_find(int fd, uint64_t page_size, uint64_t first, uint64_t count, slots_emit emit,
	       void *context)
{
	struct slot_counts n;
	int r = cachestat_count(fd, page_size, first, count, &n);

	if (r < 0)
		return r;
	if (n.folios == count && n.entries == 0)
		return emit(context, first, count, FACT_FOLIO);
	if (n.entries == count && n.folios == 0)
		return emit(context, first, count, FACT_ENTRY);
	if (n.folios == 0 && n.entries == 0)
		return emit(context, first, count, FACT_EMPTY);
	/* One page, counted twice: it moved while the kernel went over it. */
	if (count == 1)
		return emit(context, first, count, FACT_FOLIO | FACT_ENTRY);

	r = slots_find(fd, page_size, first, count / 2, emit, context);
	if (r < 0)
		return r;
	return slots_find(fd, page_size, first + count / 2, count - count / 2, emit, context);
}
