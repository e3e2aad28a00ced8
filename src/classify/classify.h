/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts in, state out. Pure: knows nothing of where the facts come from, makes no system call.
 *
 * A fact that was not asked for is absent: neither of its two (or three) bits is set. A fact that
 * came out both ways in one look has both set: the page moved, and its state is unknown.
 */

#include <stdint.h>

#include "model/state.h"

enum page_fact {
	FACT_DATA = 1 << 0,        /* SEEK_DATA stops here: swap entry or uptodate folio */
	FACT_NO_DATA = 1 << 1,     /* SEEK_HOLE stops here: nothing, or a folio never written */
	FACT_IN_CORE = 1 << 2,     /* mincore 1: uptodate folio, in page cache or swap cache */
	FACT_NOT_IN_CORE = 1 << 3, /* mincore 0 */
	FACT_FOLIO = 1 << 4,       /* cachestat nr_cache: the slot holds a folio */
	FACT_ENTRY = 1 << 5,       /* cachestat nr_evicted: the slot holds a swap entry */
	FACT_EMPTY = 1 << 6,       /* cachestat counts nothing: the slot is empty */
	FACT_MAPPED = 1 << 7,      /* a mapper's pagemap: present and of the file */
};

typedef uint8_t page_facts;

enum page_state classify(page_facts facts);
