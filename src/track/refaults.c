/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "track/refaults.h"
#include "util/array.h"
#include "util/util.h"

#define BLOCK_PAGES UINT64_C(64)
#define TICK_NS UINT64_C(100000000)

uint32_t refault_time(uint64_t ns)
{
	return (uint32_t)((ns + TICK_NS - 1) / TICK_NS);
}

uint32_t refault_time_before(uint64_t ns)
{
	return (uint32_t)(ns / TICK_NS);
}

uint64_t refault_time_ns(uint32_t time)
{
	return time * TICK_NS;
}

void refaults_done(struct refaults *r)
{
	free(r->marks);
	*r = (struct refaults){0};
}

size_t refaults_bytes(const struct refaults *r)
{
	return r->n_allocated * sizeof(*r->marks);
}

int refaults_copy(const struct refaults *r, struct refaults *ret)
{
	struct refault_mark *marks = malloc((r->n_marks + 1) * sizeof(*marks));

	if (!marks)
		return -ENOMEM;
	if (r->n_marks > 0)
		memcpy(marks, r->marks, r->n_marks * sizeof(*marks));
	*ret = *r;
	ret->marks = marks;
	ret->n_allocated = r->n_marks + 1;
	return 0;
}

/* Marks as they were, merged with what is new, in order. */
struct merge {
	const struct refaults *old;
	size_t at; /* in old: those before have been taken over */
	struct refaults new;
	uint32_t now;
	uint32_t counted;
};

/* Joins it with one of the same block that is alike. */
static int put(struct merge *m, struct refault_mark mark)
{
	struct refaults *r = &m->new;

	for (size_t i = r->n_marks; i > 0 && r->marks[i - 1].block == mark.block; i--) {
		struct refault_mark *other = &r->marks[i - 1];

		if (other->last == mark.last && other->times == mark.times) {
			other->pages |= mark.pages;
			return 0;
		}
	}
	if (ARRAY_RESERVE(&r->marks, &r->n_allocated, r->n_marks) < 0)
		return -ENOMEM;
	r->marks[r->n_marks++] = mark;
	return 0;
}

/* Those before the block stay as they are. */
static int keep_before(struct merge *m, uint64_t block)
{
	int r = 0;

	while (r >= 0 && m->at < m->old->n_marks && m->old->marks[m->at].block < block)
		r = put(m, m->old->marks[m->at++]);
	return r;
}

/* One mark of the block: what of it has come back anew is another mark from now on. */
static int split(struct merge *m, struct refault_mark mark, uint64_t pages)
{
	struct refault_mark again = mark;
	int r = 0;

	again.pages &= pages;
	if (m->counted != REFAULTS_SUSPECTED)
		again.times += m->counted == 0 || mark.last < m->counted;
	again.last = MAX(m->now, mark.last);
	mark.pages &= ~pages;
	if (mark.pages)
		r = put(m, mark);
	return r >= 0 && again.pages ? put(m, again) : r;
}

static int merge_block(struct merge *m, uint64_t block, uint64_t pages)
{
	uint64_t known = 0;
	int r = keep_before(m, block);

	while (r >= 0 && m->at < m->old->n_marks && m->old->marks[m->at].block == block) {
		known |= m->old->marks[m->at].pages;
		r = split(m, m->old->marks[m->at++], pages);
	}
	pages &= ~known;
	if (r < 0 || !pages)
		return r;
	return put(m, (struct refault_mark){.block = block,
					    .pages = pages,
					    .last = m->now,
					    .times = m->counted != REFAULTS_SUSPECTED});
}

/* The pages of the ranges in this block; *i: the first range that may have some. */
static uint64_t pages_in_block(const struct page_range *ranges, size_t n, size_t *i, uint64_t block)
{
	uint64_t start = block * BLOCK_PAGES, pages = 0;

	for (; *i < n && ranges[*i].first < start + BLOCK_PAGES; (*i)++) {
		uint64_t end = ranges[*i].first + ranges[*i].count;
		uint64_t from = MAX(ranges[*i].first, start), to = MIN(end, start + BLOCK_PAGES);

		if (from < to)
			pages |= ~UINT64_C(0) >> (BLOCK_PAGES - (to - from)) << (from - start);
		if (end > start + BLOCK_PAGES)
			break;
	}
	return pages;
}

/* The first block, from this one on, that has pages of ranges[i] or of one behind it. */
static uint64_t next_block(const struct page_range *ranges, size_t i, uint64_t block)
{
	return MAX(block, ranges[i].first / BLOCK_PAGES);
}

int refaults_note(struct refaults *r, const struct page_range *ranges, size_t n, uint32_t at,
		  uint32_t counted)
{
	struct merge m = {.old = r, .now = at, .counted = counted};
	uint64_t block = 0;
	int error = 0;

	for (size_t i = 0; i < n && error >= 0; block++) {
		uint64_t pages;

		block = next_block(ranges, i, block);
		pages = pages_in_block(ranges, n, &i, block);
		if (pages)
			error = merge_block(&m, block, pages);
	}
	if (error >= 0)
		error = keep_before(&m, UINT64_MAX);
	if (error < 0) {
		refaults_done(&m.new);
		return error;
	}
	m.new.forgotten = r->forgotten;
	free(r->marks);
	*r = m.new;
	return 0;
}

static int compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The time up to which marks must go for no more than n to stay; UINT32_MAX: all. */
static uint32_t find_limit(const struct refaults *r, size_t n)
{
	_cleanup_free_ uint32_t *times = malloc((r->n_marks + 1) * sizeof(*times));

	if (!times || n == 0)
		return UINT32_MAX;
	for (size_t i = 0; i < r->n_marks; i++)
		times[i] = r->marks[i].last;
	qsort(times, r->n_marks, sizeof(*times), compare_times);
	return times[r->n_marks - n - 1];
}

void refaults_shrink(struct refaults *r, size_t bytes)
{
	size_t fit = bytes / sizeof(*r->marks), n = 0;
	struct refault_mark *marks;
	uint32_t limit;

	if (r->n_marks > fit) {
		limit = find_limit(r, fit);
		for (size_t i = 0; i < r->n_marks; i++) {
			if (r->marks[i].last > limit)
				r->marks[n++] = r->marks[i];
			else
				r->forgotten = MAX(r->forgotten, r->marks[i].last);
		}
		r->n_marks = n;
	}
	marks = reallocarray(r->marks, r->n_marks + 1, sizeof(*marks));
	/* What was larger is no worse. */
	if (!marks)
		return;
	r->marks = marks;
	r->n_allocated = r->n_marks + 1;
}

/* The first mark of this block or of one behind it. */
static size_t find_block(const struct refaults *r, uint64_t block)
{
	size_t low = 0, high = r->n_marks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->marks[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static unsigned lowest(uint64_t bits)
{
	return (unsigned)__builtin_ctzll(bits);
}

/*
 * The first page of those marks from i on that are of one block, at or behind bit `from` of it.
 * NULL: none. *i becomes the first mark of the next block.
 */
static const struct refault_mark *search_block(const struct refaults *r, size_t *i, unsigned from,
					       uint32_t after, uint64_t *ret_bits)
{
	const struct refault_mark *found = NULL;
	uint64_t block = r->marks[*i].block, found_bits = 0;

	for (; *i < r->n_marks && r->marks[*i].block == block; (*i)++) {
		const struct refault_mark *m = &r->marks[*i];
		uint64_t bits = m->pages & ~UINT64_C(0) << from;

		if (m->last <= after || !bits)
			continue;
		if (found && lowest(bits) > lowest(found_bits))
			continue;
		found = m;
		found_bits = bits;
	}
	*ret_bits = found_bits;
	return found;
}

/* It goes on in the next block with the same mark from its first page on. */
static uint64_t count_on(const struct refaults *r, size_t i, const struct refault_mark *m)
{
	uint64_t count = 0, block = m->block + 1;

	while (i < r->n_marks && r->marks[i].block == block) {
		uint64_t pages = 0;

		for (; i < r->n_marks && r->marks[i].block == block; i++)
			if (r->marks[i].last == m->last && r->marks[i].times == m->times)
				pages = r->marks[i].pages;
		if (pages != UINT64_MAX)
			return count + lowest(~pages);
		count += BLOCK_PAGES;
		block++;
	}
	return count;
}

bool refaults_next(const struct refaults *r, uint64_t page, uint32_t after,
		   struct refault_extent *ret)
{
	size_t i = find_block(r, page / BLOCK_PAGES);
	const struct refault_mark *m = NULL;
	uint64_t bits = 0, run;

	while (i < r->n_marks && !m) {
		bool same = r->marks[i].block == page / BLOCK_PAGES;

		m = search_block(r, &i, same ? page % BLOCK_PAGES : 0, after, &bits);
	}
	if (!m)
		return false;
	*ret = (struct refault_extent){
		.first = m->block * BLOCK_PAGES + lowest(bits), .last = m->last, .times = m->times};
	run = ~(bits >> lowest(bits));
	ret->count = run ? lowest(run) : BLOCK_PAGES;
	if (lowest(bits) + ret->count == BLOCK_PAGES)
		ret->count += count_on(r, i, m);
	return true;
}

uint64_t refaults_pages(const struct refaults *r, uint32_t after)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n_marks; i++)
		if (r->marks[i].last > after)
			n += (uint64_t)__builtin_popcountll(r->marks[i].pages);
	return n;
}
