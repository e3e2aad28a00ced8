/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>

#include "classify/classify.h"

#define SEEK_FACTS (FACT_DATA | FACT_NO_DATA)
#define CORE_FACTS (FACT_IN_CORE | FACT_NOT_IN_CORE)
#define SLOT_FACTS (FACT_FOLIO | FACT_ENTRY | FACT_EMPTY)

/* At most one bit of each group, or the look saw the page in two states. */
static bool is_single(page_facts facts)
{
	return (facts & (facts - 1)) == 0;
}

/* No data: a hole, or a folio that fallocate made and nobody wrote (a fault would make it data). */
static enum page_state classify_no_data(page_facts core, page_facts slot, bool mapped)
{
	if (core == FACT_IN_CORE || mapped)
		return PAGE_UNKNOWN; /* uptodate and yet no data: written in between */
	if (slot == FACT_EMPTY)
		return PAGE_HOLE;
	if (slot == FACT_FOLIO)
		return PAGE_ALLOCATED;
	return PAGE_UNKNOWN;
}

/*
 * Data: a swap entry or an uptodate folio. An uptodate folio is always in core, so "not in core"
 * alone proves a swap entry, and one whose folio is not in the swap cache.
 */
static enum page_state classify_data(page_facts core, page_facts slot, bool mapped)
{
	if (slot == FACT_EMPTY)
		return PAGE_UNKNOWN;
	if (slot == FACT_FOLIO)
		return core == FACT_NOT_IN_CORE ? PAGE_UNKNOWN : PAGE_PRESENT;
	if (core == FACT_NOT_IN_CORE)
		return mapped ? PAGE_UNKNOWN : PAGE_SWAPPED;
	if (core == 0)
		return PAGE_UNKNOWN; /* nobody asked whether the entry is in the swap cache */
	if (slot == FACT_ENTRY)
		return mapped ? PAGE_UNKNOWN : PAGE_SWAP_CACHE;
	return mapped ? PAGE_PRESENT : PAGE_IN_CORE;
}

enum page_state classify(page_facts facts)
{
	page_facts seek = facts & SEEK_FACTS, core = facts & CORE_FACTS, slot = facts & SLOT_FACTS;

	if (!is_single(seek) || !is_single(core) || !is_single(slot))
		return PAGE_UNKNOWN;
	/* In core means uptodate (in one cache or the other), and so data, unasked. */
	if (seek == FACT_DATA || (seek == 0 && core == FACT_IN_CORE))
		return classify_data(core, slot, facts & FACT_MAPPED);
	if (seek == FACT_NO_DATA)
		return classify_no_data(core, slot, facts & FACT_MAPPED);
	/* An empty slot is a hole, whether or not SEEK was asked. */
	return slot == FACT_EMPTY ? classify_no_data(core, slot, facts & FACT_MAPPED)
				  : PAGE_UNKNOWN;
}
