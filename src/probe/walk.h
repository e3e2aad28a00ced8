/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the walk, the exact probe. The order of things:
 *   walk.c          the request: a fast pass over everything, a careful one if need be
 *   walk-careful.c  reads nodes, asks about their swap entries, reads the nodes again
 *   walker.c        the BPF programs
 *   swap-slots.c    what they read of the swaps
 */

#include "classify/node.h"
#include "probe/mincore.h"
#include "probe/prober.h"
#include "probe/probe.h"

/* 64 pages, aligned, read twice. Pages in node.retry did not come to rest. */
struct walk_block {
	uint64_t first;
	struct node node;
	struct node_swap swap;
	uint64_t ask_again;      /* within: entries whose swap is not known yet */
	uint64_t entries[WORDS]; /* swap entries, of the bits of node.entry */
};

struct walk_range {
	int fd;
	uint64_t first; /* pages */
	uint64_t end;
	uint32_t sources; /* out: what was asked about the entries */
	uint64_t moved;   /* out: pages that were not the same in both readings */
};

/* Told of blocks in order; those that hold nothing are left out. Negative stops. */
typedef int (*walk_visit)(void *context, const struct walk_block *block);

/*
 * Every page of the range so that what held still is told right whatever else moves: the slot, then
 * the swap's accounting, then the slot again. (Swap-in puts the folio into the page cache before it
 * takes it out of the swap cache: an entry that is still there did not pass by in between.)
 * Returns 0 or a negative errno.
 */
int walk_careful(struct prober *p, struct walk_range *range, walk_visit visit, void *context);
