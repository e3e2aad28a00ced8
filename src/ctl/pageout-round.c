/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/pageout.h"
#include "util/util.h"

/* Advice is given about so many at a time: 2 MiB. */
#define CHUNK_PAGES ((uint64_t)512)

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

/* Pages from here to the end of the huge page that this one would be in. */
static uint64_t to_border(const struct pageout *p, uint64_t page)
{
	return p->victim.huge_pages - page % p->victim.huge_pages;
}

/* How many pages, n at most, to where large folios that are smaller have a border too. */
static uint64_t even(uint64_t page, uint64_t n)
{
	uint64_t size = UINT64_C(1) << (63 - __builtin_clzll(n));

	return n - (page + n) % size;
}

uint64_t pageout_next(const struct pageout *p)
{
	return p->ranges.items[p->at].first + p->skip;
}

bool pageout_is_done(const struct pageout *p)
{
	return p->at == p->ranges.n_items;
}

void pageout_go_on(struct pageout *p, uint64_t end)
{
	const struct range_list *l = &p->ranges;

	while (p->at < l->n_items && l->items[p->at].first + l->items[p->at].count <= end)
		p->at++;
	p->skip = !pageout_is_done(p) && l->items[p->at].first < end ? end - l->items[p->at].first
								     : 0;
}

/* Where a round ends at the latest: where no huge page is cut, if there are any. */
static uint64_t farthest(const struct pageout *p, uint64_t first)
{
	uint64_t end = first + round_pages(p), huge = p->victim.huge_pages;
	uint64_t most = first + ROUND_PAGES;

	if (huge == 0)
		return end;
	return MIN(end + to_border(p, end - 1) - 1, most - most % huge);
}

void round_begin(struct pageout *p)
{
	struct round *round = p->round;
	uint64_t first = pageout_next(p), end = first, limit = farthest(p, first);

	memset(round->facts, 0, sizeof(round->facts));
	for (size_t at = p->at; at < p->ranges.n_items && p->ranges.items[at].first < limit; at++) {
		const struct page_range *r = &p->ranges.items[at];
		uint64_t page = MAX(r->first, first);

		end = MIN(r->first + r->count, limit);
		for (; page < end; page++)
			round->facts[page - first] |= PAGEOUT_ASKED;
	}
	round->range = (struct page_range){.first = first, .count = end - first};
}

bool round_wants(const struct round *round, uint64_t i)
{
	return (round->facts[i] & PAGEOUT_ASKED) &&
	       pageout_is_wanted((enum page_state)round->before[i]);
}

/* A huge page, or what may be one: it is none if any page of it is not in RAM. */
static bool is_whole(const struct round *round, uint64_t at, uint64_t n)
{
	pageout_facts all = (pageout_facts)~0;
	bool wanted = true;

	for (uint64_t i = at; i < at + n; i++) {
		all &= round->facts[i];
		wanted = wanted && round_wants(round, i);
	}
	return (all & PAGEOUT_ASKED) &&
	       ((all & PAGEOUT_HUGE) || ((all & PAGEOUT_MAYBE_HUGE) && wanted));
}

static void note_whole(struct pageout *p)
{
	struct round *round = p->round;
	uint64_t huge = p->victim.huge_pages;

	if (huge == 0)
		return;
	for (uint64_t at = to_border(p, round->range.first) % huge; at + huge <= round->range.count;
	     at += huge) {
		if (!is_whole(round, at, huge))
			continue;
		for (uint64_t i = at; i < at + huge; i++)
			round->facts[i] |= PAGEOUT_WHOLE;
	}
}

/* The round has more than its share at most to the end of a huge page. */
static void cut_to_share(struct pageout *p)
{
	struct round *round = p->round;
	uint64_t share = round_pages(p);

	if (round->range.count <= share)
		return;
	share = even(round->range.first, share);
	if (round->facts[share] & PAGEOUT_WHOLE)
		share += to_border(p, round->range.first + share) % p->victim.huge_pages;
	round->range.count = share;
}

/* A huge page, of which a part only may leave: so none does. */
static void leave_over_max(struct pageout *p)
{
	p->counts[FATE_OVER_MAX] += p->victim.huge_pages;
	p->done += p->victim.huge_pages;
}

uint64_t round_cut(struct pageout *p)
{
	struct round *round = p->round;
	uint64_t cap = cap_left(p), wanted = 0, n;

	note_whole(p);
	cut_to_share(p);
	round->capped = false;
	for (uint64_t i = 0; i < round->range.count; i += n) {
		uint64_t more = 0;

		n = round->facts[i] & PAGEOUT_WHOLE ? p->victim.huge_pages : 1;
		for (uint64_t k = i; k < i + n; k++)
			more += round_wants(round, k);
		if (more > cap - wanted) {
			round->range.count = i;
			round->capped = true;
			break;
		}
		wanted += more;
	}
	if (round->range.count == 0 && cap > 0)
		leave_over_max(p);
	return wanted;
}

uint64_t round_chunk(const struct pageout *p, uint64_t at)
{
	uint64_t page = p->round->range.first + at, n = CHUNK_PAGES - page % CHUNK_PAGES;
	uint64_t rate = p->options->rate / p->page_size;

	if (p->round->facts[at] & PAGEOUT_WHOLE)
		return to_border(p, page);
	if (p->options->rate > 0 && rate / 10 < n)
		n = even(page, MAX(rate / 10, 1));
	return p->victim.huge_pages > 0 ? MIN(n, to_border(p, page)) : n;
}

bool round_split_folio(const struct round *round)
{
	uint64_t i = round->range.count;

	if (!round->capped)
		return false;
	while (i > 0 && !round_wants(round, i - 1))
		i--;
	return i > 0 && (round->facts[i - 1] & PAGEOUT_DROPPED) &&
	       pageout_tell(round->facts[i - 1], (enum page_state)round->before[i - 1],
			    (enum page_state)round->after[i - 1]) == FATE_STAYED;
}
