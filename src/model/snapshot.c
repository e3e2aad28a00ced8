/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/snapshot.h"

void snapshot_done(struct snapshot *s)
{
	state_map_done(&s->map);
	verification_done(&s->verification);
	*s = (struct snapshot){0};
}

uint64_t size_to_pages(uint64_t size, uint64_t page_size)
{
	return size / page_size + (size % page_size != 0);
}

const char *snapshot_reason_to_string(enum snapshot_reason reason)
{
	switch (reason) {
	case SNAPSHOT_NO_CACHESTAT:
		return "this kernel has no cachestat: present and swap_cache are one, in_core";
	case SNAPSHOT_ALLOCATED_UNPLACED:
		return "this kernel has no cachestat: holes and allocated pages are not told apart";
	case SNAPSHOT_POISON_UNPLACED:
		return "some swapped pages were poisoned by a failed swap-in, not known which";
	case SNAPSHOT_POISON_UNCHECKED:
		return "/proc/self/smaps cannot be read: poisoned pages are not told from swapped";
	case SNAPSHOT_KEPT_MOVING:
		return "some pages changed state at every look";
	case SNAPSHOT_LARGE_UNASKED:
		return "swap_info was not found: pages of large swap entries may be in the swap "
		       "cache";
	}
	return "unknown reason";
}

const char *probe_source_to_string(enum probe_source source)
{
	switch (source) {
	case SOURCE_SEEK:
		return "seek";
	case SOURCE_MINCORE:
		return "mincore";
	case SOURCE_CACHESTAT:
		return "cachestat";
	case SOURCE_PAGEMAP:
		return "pagemap";
	case SOURCE_ACCOUNTING:
		return "accounting";
	case SOURCE_PAGE_CACHE:
		return "page_cache";
	case SOURCE_SWAP_MAP:
		return "swap_map";
	case SOURCE_SWAP_TABLE:
		return "swap_table";
	}
	return "unknown source";
}

bool snapshot_is_incomplete(const struct snapshot *s, page_state_mask asked)
{
	page_state_mask pair = PAGE_STATE_BIT(PAGE_PRESENT) | PAGE_STATE_BIT(PAGE_SWAP_CACHE);
	page_state_mask of_pair = asked & pair;

	if (s->counts[PAGE_UNKNOWN] > 0)
		return true;
	return s->counts[PAGE_IN_CORE] > 0 && of_pair != 0 && of_pair != pair;
}
