/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "classify/pageout.h"

static const struct {
	const char *name, *text;
} fates[FATE_MAX] = {
	[FATE_SWAPPED] = {"swapped", "left RAM"},
	[FATE_SWAP_CACHE] = {"swap_cache", "has its slot, and is in RAM until that is reclaimed"},
	[FATE_MOVABLE] = {"movable", "nothing is known to be in the way"},
	[FATE_OUT_BEFORE] = {"out_before", "was swapped already"},
	[FATE_CACHED_BEFORE] = {"cached_before", "was in the swap cache already"},
	[FATE_ABSENT] = {"absent", "nothing was there"},
	[FATE_FREED] = {"freed", "was punched or cut off meanwhile"},
	[FATE_NOT_TRIED] = {"not_tried", "not tried"},
	[FATE_OVER_MAX] = {"over_max", "not tried: --max would cut what may be a huge page"},
	[FATE_NOT_MAPPED] = {"not_mapped", "stayed: the process does not map it"},
	[FATE_NO_PTE] = {"no_pte", "stayed: not in the process's page table"},
	[FATE_MAPPED_TWICE] = {"mapped_twice", "stayed: in more than one page table"},
	[FATE_LOCKED] = {"locked", "stayed: locked into RAM"},
	[FATE_SPECIAL] = {"special", "stayed: a mapping that cannot be paged out"},
	[FATE_HUGE_PART] = {"huge_part", "stayed: a part of a huge page, which leaves as a whole"},
	[FATE_NO_ROOM] = {"no_room", "stayed: no room in the swap"},
	[FATE_TOUCHED] = {"touched", "in RAM again: used meanwhile"},
	[FATE_STAYED] = {"stayed", "stayed: the kernel does not tell why"},
	[FATE_UNDETERMINED] = {"undetermined", "not known whether it left"},
};

const char *pageout_fate_to_string(enum pageout_fate fate)
{
	return fates[fate].name;
}

const char *pageout_fate_to_text(enum pageout_fate fate)
{
	return fates[fate].text;
}

bool pageout_is_wanted(enum page_state before)
{
	switch (before) {
	case PAGE_PRESENT:
	case PAGE_ALLOCATED:
	case PAGE_IN_CORE:
	case PAGE_UNKNOWN:
		return true;
	case PAGE_HOLE:
	case PAGE_SWAP_CACHE:
	case PAGE_SWAPPED:
	case PAGE_POISONED:
	case PAGE_STATE_MAX:
		break;
	}
	return false;
}

/*
 * Of a page that is in RAM. A page that the swap had no room for may have lost its PTE to the
 * attempt, and have it back by now: it was not out in between.
 */
static enum pageout_fate why_it_stayed(pageout_facts facts)
{
	if (!(facts & PAGEOUT_COVERED))
		return FATE_NOT_MAPPED;
	if (facts & PAGEOUT_LOCKED)
		return FATE_LOCKED;
	if (facts & PAGEOUT_SPECIAL)
		return FATE_SPECIAL;
	if (!(facts & PAGEOUT_PTE))
		return FATE_NO_PTE;
	if (facts & PAGEOUT_SHARED)
		return FATE_MAPPED_TWICE;
	if (pageout_is_part(facts))
		return FATE_HUGE_PART;
	if (facts & PAGEOUT_FULL)
		return FATE_NO_ROOM;
	if ((facts & PAGEOUT_TRIED) && (facts & PAGEOUT_DROPPED) && (facts & PAGEOUT_AGAIN))
		return FATE_TOUCHED;
	return FATE_STAYED;
}

static enum pageout_fate tell_out(enum page_state before, enum pageout_fate now,
				  enum pageout_fate already)
{
	switch (before) {
	case PAGE_SWAPPED:
	case PAGE_SWAP_CACHE:
		return already;
	case PAGE_UNKNOWN:
	case PAGE_IN_CORE:
		return FATE_UNDETERMINED; /* it is out, but perhaps was so before */
	case PAGE_HOLE:
	case PAGE_ALLOCATED:
	case PAGE_PRESENT:
	case PAGE_POISONED:
	case PAGE_STATE_MAX:
		break;
	}
	return now;
}

static enum pageout_fate tell_in_ram(pageout_facts facts, enum page_state before)
{
	switch (before) {
	case PAGE_SWAPPED:
	case PAGE_SWAP_CACHE:
	case PAGE_HOLE:
	case PAGE_POISONED:
		return FATE_TOUCHED;
	case PAGE_PRESENT:
	case PAGE_ALLOCATED:
	case PAGE_IN_CORE:
	case PAGE_UNKNOWN:
	case PAGE_STATE_MAX:
		break;
	}
	return why_it_stayed(facts);
}

enum pageout_fate pageout_tell(pageout_facts facts, enum page_state before, enum page_state after)
{
	switch (after) {
	case PAGE_HOLE:
	case PAGE_POISONED:
		return before == PAGE_HOLE || before == PAGE_POISONED ? FATE_ABSENT : FATE_FREED;
	case PAGE_SWAPPED:
		return tell_out(before, FATE_SWAPPED, FATE_OUT_BEFORE);
	case PAGE_SWAP_CACHE:
		return tell_out(before, FATE_SWAP_CACHE, FATE_CACHED_BEFORE);
	case PAGE_PRESENT:
	case PAGE_ALLOCATED:
		return tell_in_ram(facts, before);
	case PAGE_IN_CORE:
	case PAGE_UNKNOWN:
	case PAGE_STATE_MAX:
		break;
	}
	return FATE_UNDETERMINED;
}

enum pageout_fate pageout_foresee(pageout_facts facts, enum page_state before)
{
	enum pageout_fate fate = pageout_tell(facts, before, before);

	return fate == FATE_STAYED ? FATE_MOVABLE : fate;
}
