/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The process through which pages of an object are paged out: by advice to the kernel about its
 * mappings. Nothing is mapped or opened here, for what has two mappings does not leave.
 *
 * The process may map something else at any time. So its mappings are read right before each
 * advice; what it does in the moment in between cannot be excluded, and costs it a page of
 * something else in RAM, no content.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "classify/pageout.h"
#include "model/object.h"
#include "util/parse.h"

/* A shared mapping of a part of the object. Numbers are pages. */
struct victim_mapping {
	uint64_t address;
	uint64_t first; /* of the object */
	uint64_t count;
};

/* What smaps says of a mapping: why it would be refused, PAGEOUT_LOCKED, PAGEOUT_SPECIAL or 0. */
struct victim_barrier {
	uint64_t address, count;
	pageout_facts why;
	bool huge; /* some of it is in huge pages */
};

/* Owns all it points to. */
struct victim {
	pid_t pid;
	int pid_fd;
	int proc_fd; /* /proc/PID of that process, not of a later one with its number */
	int pagemap_fd;
	struct object_id id;
	uint64_t page_size;
	uint64_t huge_pages;             /* pages of a huge page; 0: there are none, or not known */
	struct victim_mapping *mappings; /* by address, as of the last reading */
	size_t n_mappings, n_mappings_allocated;
	struct victim_barrier *barriers;
	size_t n_barriers, n_barriers_allocated;
};

#define VICTIM_NONE ((struct victim){.pid_fd = -1, .proc_fd = -1, .pagemap_fd = -1})

void victim_done(struct victim *v);

/* Returns 0 or a negative errno (-ESRCH: no such process; -EACCES: it may not be looked at). */
int victim_open(pid_t pid, const struct object_id *id, uint64_t page_size, struct victim *ret);

/*
 * Would advice be taken? Asked with nothing to advise about. Returns 0, -EPERM, -ENOSYS (no
 * process_madvise here, or it does not know page-out), or another negative errno.
 */
int victim_try(const struct victim *v);

/* What it maps of the object now. Returns 0 or a negative errno (-ESRCH: it has gone). */
int victim_read_mappings(struct victim *v);

/*
 * Which of the mappings are locked, before any advice, for a dry run. Only if the process has
 * anything locked at all is its smaps read, for which the kernel goes over all of its page table.
 */
int victim_read_locks(struct victim *v);
/* Reads it of all mappings, and what was read of one; NULL: nothing. */
int victim_read_smaps(struct victim *v);
struct victim_barrier *victim_find_barrier(const struct victim *v, const struct victim_mapping *m);
/* Adds what was found so to the facts of pages range of the object, which begin at `facts`. */
void victim_note_locks(const struct victim *v, struct page_range range, pageout_facts *facts);

/* Pages of a huge page that takes one entry of the page table. 0: there are none, or not known. */
uint64_t victim_huge_pages(uint64_t page_size);
/* Adds HUGE or MAYBE_HUGE, as it is now. Returns 0 or a negative errno. */
int victim_look_huge(struct victim *v, struct page_range range, pageout_facts *facts);

/* Adds COVERED, PTE and SHARED, as it is now. Returns 0 or a negative errno. */
int victim_look_before(struct victim *v, struct page_range range, pageout_facts *facts);
/* Adds `fact` where there was a PTE that is, or is not, there any more. */
int victim_look_after(struct victim *v, struct page_range range, pageout_facts *facts, bool there,
		      pageout_facts fact);

/*
 * Has the kernel page out those of the pages that are ASKED and COVERED, but for parts of huge
 * pages. Adds TRIED where it took the advice, else LOCKED or SPECIAL if that is why. Returns 0 or a
 * negative errno.
 */
int victim_advise(struct victim *v, struct page_range range, pageout_facts *facts);

/*
 * Pages that were used a moment ago stand in batches, one a CPU, until these are full, and while
 * they do cannot be paged out. Empties those of the CPUs that we may run on.
 */
void victim_drain_batches(void);
