/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What lies in each slot, from cachestat by bisection: a uniform run costs one call. */

#include <stdint.h>

#include "classify/classify.h"

/* Told of each run in order; facts is FACT_FOLIO, FACT_ENTRY or FACT_EMPTY. Negative stops. */
typedef int (*slots_emit)(void *context, uint64_t first, uint64_t count, page_facts facts);

int slots_find(int fd, uint64_t page_size, uint64_t first, uint64_t count, slots_emit emit,
	       void *context);
