/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A window: some hundred pages, on which the interfaces are asked together, so that each kind of
 * page costs as few and as cheap calls as it allows.
 */

#include <stdbool.h>
#include <stdint.h>

#include "classify/classify.h"
#include "probe/kcaps.h"
#include "probe/mincore.h"
#include "probe/seek.h"

/* The largest folio, so that a window never holds a part of one. */
#define WINDOW_PAGES 512

/* What a look may take for granted, or must not. A set of bits. */
enum window_mode {
	/* Ask every interface about every page, and believe no sum over pages. */
	WINDOW_THOROUGH = 1 << 0,
	/* No slot is empty: ask mincore only, the rest is proved later. */
	WINDOW_ASSUME_DATA = 1 << 1,
	/* Believe no sum either, but leave it for later what pages with data are. */
	WINDOW_UNQUIET = 1 << 2,
};

/* What the windows of one look share. */
struct window_probe {
	int fd; /* borrowed */
	const struct kcaps *caps;
	struct mincore_map map;
	uint32_t mode;
	struct seek_run run; /* what SEEK said last; kept from window to window of one look */
	bool expect_folios;  /* guess for the next window: as the last one */
	unsigned n_mixed;    /* windows with pages in core and out of core, so far */
	uint32_t sources;    /* enum probe_source: what was asked so far */
};

struct window {
	uint64_t first;  /* page of the object */
	unsigned n;      /* pages, at most WINDOW_PAGES */
	unsigned n_data; /* those with FACT_DATA; all others have FACT_NO_DATA */
	unsigned n_out;  /* those with FACT_DATA and FACT_NOT_IN_CORE, once mincore was asked */
	bool all_folios; /* every page with data is known as a folio */
	page_facts facts[WINDOW_PAGES];
};

/*
 * Adds to facts (which hold FACT_DATA or FACT_NO_DATA for each page) what it takes to classify.
 * Pages in core may be left without knowing in which cache (PAGE_IN_CORE) if not thorough.
 * Returns 0 or a negative errno.
 */
int window_probe(struct window_probe *p, struct window *w);
