/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel keeps about the slots of its swaps: whether a slot's folio is in the swap cache.
 * Read by BPF out of swap_map (until 6.19) or the clusters' tables (from 6.18).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/swap.h"
#include "classify/units.h"
#include "probe/walker.h"

enum swap_way {
	SWAP_WAY_NONE,  /* swap_info cannot be found on this kernel */
	SWAP_WAY_MAP,   /* swap_map */
	SWAP_WAY_TABLE, /* swap tables */
	SWAP_WAY_MAX,
};

const char *swap_way_to_string(enum swap_way way);

/* Where things are. All zero: not looked for yet. */
struct swap_slots {
	struct walker *walker; /* borrowed */
	enum swap_way way;
	/* Why there is none: -EPERM (CAP_SYSLOG), -ENODATA (no swap since boot), -EOPNOTSUPP (what
	 * this kernel keeps does not read as expected) */
	int error;
	bool refused[SWAP_WAY_MAX]; /* for that */
	bool confirmed;             /* the way has been tried on slots of an object */
	uint64_t swap_info;         /* addresses; 0: not found */
	uint64_t zswap_trees;       /* likewise */
	bool avoid_map;             /* for tests: read the tables where there are both */
	bool avoid_swap_info;       /* for tests: as if it could not be found */
	bool has_maps;              /* by this kernel's BTF */
	bool has_tables;
	struct swap_type types[SWAP_TYPES];
	struct swap_type checked[SWAP_TYPES]; /* as they were when they were found to make sense */
};

/*
 * Reads anew which swaps there are. Cheap (some microseconds); to be called for each request, since
 * a swapon or swapoff may have come in between. Returns 0 (also if nothing was found: see way) or a
 * negative errno.
 */
int swap_slots_refresh(struct swap_slots *s);

/* The way does not tell what it should: never again. To be followed by a refresh. */
void swap_slots_refuse(struct swap_slots *s);

/* How the way is to be read. */
enum unit_format swap_slots_format(const struct swap_slots *s);

/* True if this is a slot of a swap that is in use. Without swap_info: true unless poison. */
bool swap_slots_is_slot(const struct swap_slots *s, uint64_t entry);
/* True of what is no slot, and has one of the numbers that are kept for other things. */
bool swap_slots_is_poison(const struct swap_slots *s, uint64_t entry);

/*
 * A list of slots to ask about, in the order in which pages refer to them. Slots that follow each
 * other closely are read in one go.
 */
struct swap_question {
	size_t n_runs;
	uint64_t bytes; /* of the answer so far */
};

/* Adds a slot. Returns false if there is no room: read first. */
bool swap_question_add(struct swap_slots *s, struct swap_question *q, uint64_t entry);

/* Reads all that was added. Returns 0, or -EAGAIN if a swap went away meanwhile. */
int swap_question_read(struct swap_slots *s, const struct swap_question *q);

/* Goes over the answers: to be asked in the order in which the slots were added. */
struct swap_answer {
	size_t run;
	uint64_t at; /* bytes: where the run's answers begin */
};

uint64_t swap_answer_unit(const struct swap_slots *s, struct swap_answer *a, uint64_t entry);
bool swap_run_has(const struct swap_run *run, uint64_t entry);

/* Stretches of SWAP_RUN_SLOTS slots: all those in which an object has entries. */
struct swap_stretches {
	uint64_t *bits[SWAP_TYPES];
	uint64_t n[SWAP_TYPES]; /* stretches that there is room for */
};

void swap_stretches_done(struct swap_stretches *s);
/* Adds the stretch of the entry. Returns 0 or -ENOMEM. */
int swap_stretches_add(struct swap_stretches *s, const struct swap_slots *slots, uint64_t entry);
/* Is any slot of any of the stretches in the swap cache? 0, 1 or a negative errno. */
int swap_stretches_any_cached(const struct swap_stretches *s, struct swap_slots *slots);
