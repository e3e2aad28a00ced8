/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * shmstatectl pageout.
 *   pageout.c         the verb: which object, which process, may it be
 *   pageout-ranges.c  which pages, out of a file
 *   pageout-round.c   where to cut that, so that no huge page is
 *   pageout-run.c     look, advise, look again: a piece at a time, at a rate, up to a cap
 *   pageout-report.c  what became of the pages
 */

#include <stddef.h>

#include "classify/pageout.h"
#include "ctl/source.h"
#include "view/victim.h"

/* In order, apart from each other. Owns items. */
struct range_list {
	struct page_range *items;
	size_t n_items, n_allocated;
	/* The object that they were said to be of; all zero: nobody said. */
	bool have_id;
	struct object_id id;
};

void range_list_done(struct range_list *l);
int range_list_add(struct range_list *l, struct page_range range); /* in any order */
/* Puts them in order, and joins those that touch or overlap. */
void range_list_sort(struct range_list *l);
uint64_t range_list_pages(const struct range_list *l);

/* Out of text. Returns 0, or an exit code after a message that names `file`, and where in it. */
int range_list_parse(const char *file, char *text, struct range_list *ret);
/* Out of a file; "-" is standard input. */
int range_list_read(const char *file, struct range_list *ret);

#define ROUND_PAGES ((uint64_t)16384)

/* What is looked at and advised about before it is looked at again. */
struct round {
	struct page_range range; /* of the object; not all of it is asked for */
	bool capped;             /* the cap is what ends it */
	pageout_facts facts[ROUND_PAGES];
	uint8_t before[ROUND_PAGES], after[ROUND_PAGES]; /* enum page_state */
};

struct pageout {
	const struct options *options;
	struct options looking; /* of the source: the object, by its id */
	struct source *source;
	const struct object *object;
	uint64_t page_size;
	struct victim victim;
	struct range_list ranges;
	bool segment_locked; /* all of the object, by SHM_LOCK */
	struct round *round;
	uint64_t asked; /* pages of the ranges, */
	uint64_t done;  /* and those of which it is known what became of them; then */
	size_t at;      /* comes this range, */
	uint64_t skip;  /* but for so many of its pages */
	uint64_t ahead; /* pages to look at if there was nothing to page out; 0: there was */
	uint64_t due;   /* monotonic ns: not before is the next advice given */
	uint64_t took;  /* ns, in all */
	bool interrupted;
	uint64_t counts[FATE_MAX];
};

/* The next page that is asked for; then is there none; all before `end` is done. */
uint64_t pageout_next(const struct pageout *p);
bool pageout_is_done(const struct pageout *p);
void pageout_go_on(struct pageout *p, uint64_t end);

/* Which pages the next round is about, at most. */
void round_begin(struct pageout *p);
/*
 * When its pages were looked at: cuts it to what the rate and the cap permit. Returns how many may
 * leave. What remains is nothing if the cap is reached, or is less than the huge page that comes
 * next.
 */
uint64_t round_cut(struct pageout *p);
bool round_wants(const struct round *round, uint64_t i);
/*
 * When it was performed: did the cap end it within a large folio? That is mapped page by page, so
 * nothing told. It is split now, in RAM and in no page table, and so would be the next.
 */
bool round_split_folio(const struct round *round);
/* How many pages from here on to give advice about: to the next border; ten times a second, at a
 * rate. */
uint64_t round_chunk(const struct pageout *p, uint64_t at);

/* Fills in counts. Returns 0, or an exit code after a message; counts are true even then. */
int pageout_run(struct pageout *p);

void pageout_print(const struct pageout *p);
/* Says what did not leave. Returns an exit code. */
int pageout_report(const struct pageout *p);
