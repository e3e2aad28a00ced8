/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/delta.h"
#include "model/state_block.h"
#include "util/util.h"

static uint64_t end_of(const struct snapshot *s)
{
	return s->first + s->count;
}

/* It goes to the end of the object, so that what lies behind is known to be nothing. */
static bool is_open(const struct snapshot *s)
{
	return end_of(s) >= size_to_pages(s->size, s->page_size);
}

bool delta_is_covered(const struct snapshot *s, struct page_range range)
{
	if (range.first < s->first)
		return false;
	return is_open(s) || (range.first <= end_of(s) && range.count <= end_of(s) - range.first);
}

bool delta_is_empty(const struct snapshot *a, const struct snapshot *b)
{
	return a->size == b->size && a->first == b->first && a->count == b->count &&
	       state_map_difference(&a->map, &b->map) == 0;
}

struct delta delta_seek(const struct snapshot *old, const struct snapshot *new, uint64_t first)
{
	struct delta d = {
		.old = old,
		.new = new,
		.at = first,
		.common = MIN(end_of(old), end_of(new)),
		.old_span = find_span(&old->map, first),
		.new_span = find_span(&new->map, first),
	};

	d.end = d.common;
	if (is_open(old))
		d.end = MAX(d.end, end_of(new));
	if (is_open(new))
		d.end = MAX(d.end, end_of(old));
	return d;
}

void delta_stop_at(struct delta *d, uint64_t end)
{
	d->end = MIN(d->end, end);
	d->common = MIN(d->common, end);
}

static struct change change_of(uint64_t first, uint64_t end, int from, int to)
{
	return (struct change){.first = first, .count = end - first, .from = from, .to = to};
}

static uint64_t block_difference(const struct state_block *a, const struct state_block *b)
{
	uint64_t differs = 0;

	for (int i = 0; i < STATE_PLANES; i++)
		differs |= a->plane[i] ^ b->plane[i];
	return differs;
}

/* The first of the pages that are left of a block, with those that go on like it. */
static struct change take_from_block(struct delta *d)
{
	uint64_t k = ctz(d->left), like, run;
	enum page_state from = block_get(&d->old_block, k), to = block_get(&d->new_block, k);

	like = block_select(&d->old_block, from) & block_select(&d->new_block, to) & d->left;
	like = ~(like >> k);
	run = like ? ctz(like) : STATE_BLOCK_PAGES;
	d->left &= run + k < STATE_BLOCK_PAGES ? ~(uint64_t)0 << (run + k) : 0;
	return change_of(d->block + k, d->block + k + run, (int)from, (int)to);
}

/* The next block before `to` that differs is entered; without one, d->at is `to`. */
static bool find_block(struct delta *d, const struct span *x, const struct span *y, uint64_t to)
{
	while (d->at < to) {
		uint64_t number = d->at / STATE_BLOCK_PAGES, start = number * STATE_BLOCK_PAGES;
		uint64_t end = MIN(start + STATE_BLOCK_PAGES, to);
		struct state_block a = span_block(x, number), b = span_block(y, number);
		uint64_t left = block_difference(&a, &b) & bit_range(d->at - start, end - start);

		d->at = end;
		if (!left)
			continue;
		d->block = start;
		d->old_block = a;
		d->new_block = b;
		d->left = left;
		return true;
	}
	return false;
}

/* Pages that both have. */
static bool find_common(struct delta *d, struct change *ret)
{
	while (d->at < d->common) {
		struct span x = span_of(&d->old->map, d->old_span);
		struct span y = span_of(&d->new->map, d->new_span);
		uint64_t first = d->at, to = MIN(MIN(x.end, y.end), d->common);
		bool found;

		if (x.blocks || y.blocks) {
			found = find_block(d, &x, &y, to);
			if (found)
				*ret = take_from_block(d);
		} else {
			found = x.state != y.state;
			*ret = change_of(first, to, (int)x.state, (int)y.state);
			d->at = to;
		}
		d->old_span += x.end == d->at;
		d->new_span += y.end == d->at;
		if (found)
			return true;
	}
	return false;
}

/* Pages that only one of them has: the object had, or has, another size. */
static bool find_beyond(struct delta *d, struct change *ret)
{
	bool grown = end_of(d->new) > end_of(d->old);
	const struct snapshot *longer = grown ? d->new : d->old;
	struct state_cursor cursor = state_map_seek(&longer->map, d->at);
	struct extent e;

	if (d->at >= d->end || !state_cursor_next(&cursor, &e))
		return false;
	d->at = MIN(e.first + e.count, d->end);
	*ret = change_of(e.first, d->at, grown ? CHANGE_BEYOND : (int)e.state,
			 grown ? (int)e.state : CHANGE_BEYOND);
	return true;
}

static bool next_piece(struct delta *d, struct change *ret)
{
	if (d->left) {
		*ret = take_from_block(d);
		return true;
	}
	return find_common(d, ret) || find_beyond(d, ret);
}

bool delta_next(struct delta *d, struct change *ret)
{
	struct change piece;

	if (!d->have_next && !next_piece(d, &d->next))
		return false;
	*ret = d->next;
	d->have_next = false;
	while (next_piece(d, &piece)) {
		if (piece.first != ret->first + ret->count || piece.from != ret->from ||
		    piece.to != ret->to) {
			d->next = piece;
			d->have_next = true;
			break;
		}
		ret->count += piece.count;
	}
	return true;
}

static bool is_among(int state, page_state_mask mask)
{
	return state != CHANGE_BEYOND && (mask & PAGE_STATE_BIT(state));
}

bool change_concerns(const struct change *c, page_state_mask mask)
{
	return is_among(c->from, mask) || is_among(c->to, mask);
}
