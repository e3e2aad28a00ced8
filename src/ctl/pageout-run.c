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

/* Advice is given about so many at a time: 2 MiB. */
#define CHUNK_PAGES ((uint64_t)512)
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

/* How many pages may still leave. */
static uint64_t cap_left(const struct pageout *p)
{
	uint64_t left =
		p->counts[FATE_SWAPPED] + p->counts[FATE_SWAP_CACHE] + p->counts[FATE_MOVABLE];
	uint64_t cap = p->options->max_bytes / p->page_size;

	if (p->options->max_bytes == 0)
		return UINT64_MAX;
	return cap > left ? cap - left : 0;
}

/* As much as is paged out within a second, so that what comes back is seen to do so. */
static uint64_t round_pages(const struct pageout *p)
{
	uint64_t rate = p->options->rate / p->page_size;

	return p->options->rate > 0 ? MIN(MAX(rate, 1), ROUND_PAGES) : ROUND_PAGES;
}

/* Up to the next border of a chunk; ten times a second, at a rate. */
static uint64_t chunk_pages(const struct pageout *p, uint64_t page)
{
	uint64_t n = CHUNK_PAGES - page % CHUNK_PAGES, rate = p->options->rate / p->page_size;

	return p->options->rate > 0 ? MIN(n, MAX(rate / 10, 1)) : n;
}

/* The next page that is asked for. */
static uint64_t next_page(const struct pageout *p)
{
	return p->ranges.items[p->at].first + p->skip;
}

static bool is_done(const struct pageout *p)
{
	return p->at == p->ranges.n_items;
}

/* All before `end` is done. */
static void go_on_from(struct pageout *p, uint64_t end)
{
	const struct range_list *l = &p->ranges;

	while (p->at < l->n_items && l->items[p->at].first + l->items[p->at].count <= end)
		p->at++;
	p->skip = !is_done(p) && l->items[p->at].first < end ? end - l->items[p->at].first : 0;
}

static void begin_round(struct pageout *p)
{
	struct round *round = p->round;
	uint64_t first = next_page(p), end = first, limit = round_pages(p);

	memset(round->facts, 0, sizeof(round->facts));
	for (size_t at = p->at; at < p->ranges.n_items && p->ranges.items[at].first < first + limit;
	     at++) {
		const struct page_range *r = &p->ranges.items[at];
		uint64_t page = MAX(r->first, first);

		end = MIN(r->first + r->count, first + limit);
		for (; page < end; page++)
			round->facts[page - first] |= PAGEOUT_ASKED;
	}
	round->range = (struct page_range){.first = first, .count = end - first};
}

static bool is_wanted(const struct round *round, uint64_t i)
{
	return (round->facts[i] & PAGEOUT_ASKED) &&
	       pageout_is_wanted((enum page_state)round->before[i]);
}

/* Cuts the round where the pages that may leave reach the cap. Returns how many there are. */
static uint64_t cut_round(struct pageout *p)
{
	struct round *round = p->round;
	uint64_t cap = cap_left(p), wanted = 0;

	for (uint64_t i = 0; i < round->range.count; i++) {
		if (!is_wanted(round, i))
			continue;
		if (wanted == cap) {
			round->range.count = i;
			break;
		}
		wanted++;
	}
	return wanted;
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

		n = chunk_pages(p, round->range.first + at);
		n = MIN(n, round->range.count - at);
		for (uint64_t i = at; i < at + n; i++)
			wanted += is_wanted(round, i);
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
	int r = victim_read_mappings(&p->victim);

	if (r >= 0)
		r = victim_look_before(&p->victim, round->range, round->facts);
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
	int r = look(p, round->before);
	uint64_t wanted;

	if (r != 0)
		return r;
	wanted = cut_round(p);
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

	while (!is_done(p) && next_page(p) < end) {
		const struct page_range *r = &p->ranges.items[p->at];
		uint64_t until = MIN(r->first + r->count, end);

		if (pageout_is_wanted(e->state))
			return false;
		p->counts[fate] += until - next_page(p);
		p->done += until - next_page(p);
		go_on_from(p, until);
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
	struct page_range range = {.first = next_page(p)};
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

	while (r == 0 && !is_done(p) && !stop_wanted) {
		if (p->ahead > 0) {
			r = pass_unwanted(p);
			continue;
		}
		begin_round(p);
		r = do_round(p);
		if (p->round->range.count == 0)
			break; /* the cap is reached, or somebody said stop */
		go_on_from(p, p->round->range.first + p->round->range.count);
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
