/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "ctl/pageout.h"
#include "ctl/progress.h"
#include "ctl/report.h"
#include "util/stop.h"
#include "util/text.h"

#define SECOND UINT64_C(1000000000)

static volatile sig_atomic_t stop_wanted;

static void on_signal(int number)
{
	(void)number;
	stop_wanted = 1;
}

/* The first one ends the work, what was done is still told; a second one ends all. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal,
				   .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int failed_process(const struct pageout *p, int error)
{
	if (error == -ESRCH)
		return failed("process %d has ended", (int)p->victim.pid);
	return failed("process %d: %s", (int)p->victim.pid, text_error(error));
}

static bool swap_is_full(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 && info.freeswap == 0;
}

/* Where the object is. What it no longer has is a hole. */
static int look(struct pageout *p, uint8_t *states)
{
	_cleanup_(snapshot_done) struct snapshot s = {0};
	const struct page_range *range = &p->round->range;
	const struct object *object = NULL;
	struct state_cursor cursor;
	struct extent e;
	int r = source_classify(p->source, *range, &object, &s);

	if (r != 0)
		return r;
	memset(states, PAGE_HOLE, range->count);
	cursor = state_map_seek(&s.map, range->first);
	while (state_cursor_next(&cursor, &e)) {
		uint64_t end = MIN(e.first + e.count, range->first + range->count);

		if (e.first < range->first || e.first >= end)
			break;
		memset(states + (e.first - range->first), (int)e.state, end - e.first);
	}
	return 0;
}

/* Waits until the rate permits more. An interruption ends that. */
static void pace(struct pageout *p, uint64_t pages)
{
	uint64_t now = monotonic_ns();
	struct timespec until = {.tv_sec = (time_t)(p->due / SECOND),
				 .tv_nsec = (long)(p->due % SECOND)};

	if (p->options->rate == 0)
		return;
	if (p->due > now)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	/* Time that passed unused is not made up for: never more than the rate. */
	p->due = MAX(p->due, now) +
		 (uint64_t)((double)(pages * p->page_size) / (double)p->options->rate * 1e9);
}

static void note_full(struct round *round, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		round->facts[i] |= PAGEOUT_FULL;
}

/* The swap may fill up with what others page out; then nothing is advised, for it would only cost
 * the process its page table. */
static int advise(struct pageout *p, uint64_t from, uint64_t n)
{
	struct round *round = p->round;
	struct page_range range = {.first = round->range.first + from, .count = n};
	pageout_facts *facts = round->facts + from;
	int r = victim_read_mappings(&p->victim);

	if (r >= 0)
		r = victim_look_before(&p->victim, range, facts);
	if (r >= 0 && !swap_is_full()) {
		r = victim_advise(&p->victim, range, facts);
		if (r >= 0)
			r = victim_look_after(&p->victim, range, facts, false, PAGEOUT_DROPPED);
	}
	if (swap_is_full())
		note_full(round, from, n);
	return r;
}

/* Chunk by chunk. Returns how far it came, and 0 or an exit code after a message. */
static int advise_round(struct pageout *p, uint64_t *ret_done)
{
	struct round *round = p->round;
	uint64_t at = 0, n;
	int r = 0;

	for (; r >= 0 && at < round->range.count && !stop_wanted; at += n) {
		uint64_t wanted = 0;

		n = round_chunk(p, at);
		n = MIN(n, round->range.count - at);
		for (uint64_t i = at; i < at + n; i++)
			wanted += round_wants(round, i);
		if (wanted == 0)
			continue;
		pace(p, wanted);
		if (stop_wanted)
			break;
		r = advise(p, at, n);
		progress_tell(p->done + at + n, p->asked);
	}
	*ret_done = at;
	return r < 0 ? failed_process(p, r) : 0;
}

static void count_round(struct pageout *p)
{
	struct round *round = p->round;

	for (uint64_t i = 0; i < round->range.count; i++) {
		pageout_facts facts = round->facts[i];
		enum page_state before = (enum page_state)round->before[i];

		if (!(facts & PAGEOUT_ASKED))
			continue;
		if (p->segment_locked)
			facts |= PAGEOUT_LOCKED;
		p->counts[p->options->dry_run ? pageout_foresee(facts, before)
					      : pageout_tell(facts, before,
							     (enum page_state)round->after[i])]++;
		p->done++;
	}
}

/* What a round would do. */
static int foresee_round(struct pageout *p)
{
	struct round *round = p->round;
	int r = victim_look_before(&p->victim, round->range, round->facts);

	if (r < 0)
		return failed_process(p, r);
	victim_note_locks(&p->victim, round->range, round->facts);
	return 0;
}

/* Advice, and a second look. If the process ended, what is known of its last pages is that. */
static int perform_round(struct pageout *p)
{
	struct round *round = p->round;
	int r = advise_round(p, &round->range.count), looked;

	looked = round->range.count > 0 ? look(p, round->after) : 0;
	if (looked != 0)
		memset(round->after, PAGE_UNKNOWN, sizeof(round->after));
	if (r == 0 && looked == 0 && victim_read_mappings(&p->victim) >= 0)
		victim_look_after(&p->victim, round->range, round->facts, true, PAGEOUT_AGAIN);
	return r != 0 ? r : looked;
}

static int do_round(struct pageout *p)
{
	struct round *round = p->round;
	int r = victim_read_mappings(&p->victim);
	uint64_t wanted;

	if (r >= 0)
		r = victim_look_huge(&p->victim, round->range, round->facts);
	if (r < 0)
		return failed_process(p, r);
	r = look(p, round->before);
	if (r != 0)
		return r;
	wanted = round_cut(p);
	p->ahead = wanted > 0 ? 0 : 4 * ROUND_PAGES;
	memcpy(round->after, round->before, sizeof(round->after));
	if (wanted > 0)
		r = p->options->dry_run ? foresee_round(p) : perform_round(p);
	count_round(p);
	return r;
}

/* Counts what is asked for of an extent, unless that is to be paged out: then returns false. */
static bool pass_extent(struct pageout *p, const struct extent *e)
{
	enum pageout_fate fate = pageout_foresee(0, e->state);
	uint64_t end = e->first + e->count;

	while (!pageout_is_done(p) && pageout_next(p) < end) {
		const struct page_range *r = &p->ranges.items[p->at];
		uint64_t until = MIN(r->first + r->count, end);

		if (pageout_is_wanted(e->state))
			return false;
		p->counts[fate] += until - pageout_next(p);
		p->done += until - pageout_next(p);
		pageout_go_on(p, until);
	}
	return true;
}

/*
 * Where there is nothing to page out there may be nothing for long: an object may have 2^39 pages.
 * As long as that is so each look goes farther than the one before.
 */
static int pass_unwanted(struct pageout *p)
{
	const struct page_range *last = &p->ranges.items[p->ranges.n_items - 1];
	_cleanup_(snapshot_done) struct snapshot s = {0};
	const struct object *object = NULL;
	struct page_range range = {.first = pageout_next(p)};
	struct state_cursor cursor;
	struct extent e;
	bool passed = true;
	int r;

	range.count = MIN(p->ahead, last->first + last->count - range.first);
	r = source_classify(p->source, range, &object, &s);
	if (r != 0)
		return r;
	cursor = state_map_seek(&s.map, range.first);
	while (passed && state_cursor_next(&cursor, &e))
		passed = pass_extent(p, &e);
	/* What the object no longer has is a hole. */
	e = (struct extent){.first = range.first, .count = range.count, .state = PAGE_HOLE};
	if (passed)
		pass_extent(p, &e);
	p->ahead = passed ? 4 * p->ahead : 0;
	progress_tell(p->done, p->asked);
	return 0;
}

static int run_rounds(struct pageout *p)
{
	int r = 0;

	while (r == 0 && !pageout_is_done(p) && !stop_wanted) {
		if (p->ahead > 0) {
			r = pass_unwanted(p);
			continue;
		}
		round_begin(p);
		r = do_round(p);
		if (p->round->range.count == 0)
			break; /* the cap is reached, or somebody said stop */
		pageout_go_on(p, p->round->range.first + p->round->range.count);
		if (round_split_folio(p->round))
			break;
	}
	return r;
}

int pageout_run(struct pageout *p)
{
	uint64_t began = monotonic_ns();
	int r = 0;

	catch_signals();
	if (p->options->dry_run)
		r = victim_read_mappings(&p->victim);
	if (r >= 0 && p->options->dry_run)
		r = victim_read_locks(&p->victim);
	if (r < 0)
		return failed_process(p, r);
	if (!p->options->dry_run)
		victim_drain_batches();
	progress_start(p->options->dry_run ? "looking at page" : "paging out page");
	r = run_rounds(p);
	progress_stop();
	p->took = monotonic_ns() - began;
	p->counts[FATE_NOT_TRIED] = p->asked - p->done;
	p->interrupted = stop_wanted && p->counts[FATE_NOT_TRIED] > 0;
	return r;
}
