/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "model/state_block.h"
#include "util/array.h"
#include "util/util.h"

/*
 * A uniform stretch between others that is shorter than this is kept dense: a segment takes as much
 * memory as nearly two dense blocks, and it takes longer to go from one to the next. So whatever
 * the states, there are no more segments than one for every two blocks.
 */
#define SHORT_BLOCKS ((size_t)4)

/* So much that n blocks can be pushed, whatever they are, and nothing below has to fail. */
static int make_room(struct state_map *map, size_t n)
{
	int r = ARRAY_RESERVE(&map->dense, &map->n_dense_allocated,
			      map->n_dense + n + 2 * SHORT_BLOCKS);

	if (r < 0)
		return r;
	return ARRAY_RESERVE(&map->segments, &map->n_segments_allocated,
			     map->n_segments + n / 2 + SHORT_BLOCKS);
}

static struct state_segment *last_segment(const struct state_map *map)
{
	return map->n_segments > 0 ? &map->segments[map->n_segments - 1] : NULL;
}

static struct state_segment *new_segment(struct state_map *map, size_t dense, enum page_state state)
{
	const struct state_segment *last = last_segment(map);
	struct state_segment *segment = &map->segments[map->n_segments++];

	*segment = (struct state_segment){
		.first = last ? last->first + last->count : map->first / STATE_BLOCK_PAGES,
		.dense = dense,
		.state = state,
	};
	return segment;
}

/* The last segment will not grow any more: if it is uniform but short it becomes dense. */
static void settle(struct state_map *map)
{
	struct state_segment *last = last_segment(map);
	struct state_block block = {0};
	uint64_t n;

	if (!last || !segment_is_uniform(last) || last->count >= SHORT_BLOCKS)
		return;
	block_fill(&block, ~(uint64_t)0, last->state);
	n = last->count;
	if (map->n_segments > 1 && !segment_is_uniform(last - 1)) {
		last[-1].count += n;
		map->n_segments--;
	} else {
		last->dense = map->n_dense;
	}
	for (; n > 0; n--)
		map->dense[map->n_dense++] = block;
}

static void push_uniform(struct state_map *map, uint64_t n, enum page_state state)
{
	struct state_segment *last = last_segment(map);

	if (!last || !segment_is_uniform(last) || last->state != state) {
		settle(map);
		last = new_segment(map, STATE_SEGMENT_UNIFORM, state);
	}
	last->count += n;
}

static void push_dense(struct state_map *map, const struct state_block *blocks, size_t n)
{
	struct state_segment *last;

	settle(map);
	last = last_segment(map);
	if (!last || segment_is_uniform(last))
		last = new_segment(map, map->n_dense, PAGE_HOLE);
	memcpy(map->dense + map->n_dense, blocks, n * sizeof(*blocks));
	map->n_dense += n;
	last->count += n;
}

static void push_pending(struct state_map *map)
{
	if (block_is_uniform(&map->pending))
		push_uniform(map, 1, block_get(&map->pending, 0));
	else
		push_dense(map, &map->pending, 1);
	map->pending = (struct state_block){0};
}

int state_map_append(struct state_map *map, uint64_t count, enum page_state state)
{
	uint64_t at = map_end(map) % STATE_BLOCK_PAGES;
	uint64_t head = at > 0 ? MIN(count, STATE_BLOCK_PAGES - at) : 0;
	uint64_t blocks = (count - head) / STATE_BLOCK_PAGES;
	uint64_t tail = (count - head) % STATE_BLOCK_PAGES;

	if (blocks > 0 || (head > 0 && at + head == STATE_BLOCK_PAGES)) {
		int r = make_room(map, 1);

		if (r < 0)
			return r;
	}
	/* What lies before the first page is in its state: that can leave the block uniform. */
	if (head > 0)
		block_fill(&map->pending, bit_range(map->count > 0 ? at : 0, at + head), state);
	if (head > 0 && at + head == STATE_BLOCK_PAGES)
		push_pending(map);
	if (blocks > 0)
		push_uniform(map, blocks, state);
	if (tail > 0)
		block_fill(&map->pending, bit_range(0, tail), state);
	map->count += count;
	map->counts[state] += count;
	return 0;
}

/* How many blocks are like the first one. */
static size_t equal_run(const struct state_block *blocks, size_t n)
{
	size_t i = 1;

	while (i < n && block_equal(&blocks[i], &blocks[0]))
		i++;
	return i;
}

/*
 * How many blocks there are before the next uniform stretch that is worth a segment: one that is
 * long enough, or that may go on behind the end.
 */
static size_t dense_run(const struct state_block *blocks, size_t n)
{
	size_t streak = 0; /* uniform blocks of one state that end here */

	for (size_t i = 0; i < n; i++) {
		bool goes_on = block_equal(&blocks[i], &blocks[i > 0 ? i - 1 : 0]);

		/* By arithmetic: no branch predictor knows this, and a wrong guess takes longer. */
		streak = block_is_uniform(&blocks[i]) * (goes_on * streak + 1);
		if (streak == SHORT_BLOCKS)
			return i + 1 - streak;
	}
	return n - streak;
}

/* Adds up the states of n blocks: how often each set of planes has a bit in common. */
COUNTS_BITS
static void count_blocks(const struct state_block *blocks, size_t n, uint64_t *counts)
{
	uint64_t one[STATE_PLANES] = {0}, n01 = 0, n02 = 0, n12 = 0, n012 = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t p0 = blocks[i].plane[0], p1 = blocks[i].plane[1], p2 = blocks[i].plane[2];

		one[1] += popcount(p1);
		one[2] += popcount(p2);
		n12 += popcount(p1 & p2);
		if (p0 == 0) /* as in most: hole, present and swapped do without */
			continue;
		one[0] += popcount(p0);
		n01 += popcount(p0 & p1);
		n02 += popcount(p0 & p2);
		n012 += popcount(p0 & p1 & p2);
	}
	counts[0] += n * STATE_BLOCK_PAGES - one[0] - one[1] - one[2] + n01 + n02 + n12 - n012;
	counts[1] += one[0] - n01 - n02 + n012;
	counts[2] += one[1] - n01 - n12 + n012;
	counts[3] += n01 - n012;
	counts[4] += one[2] - n02 - n12 + n012;
	counts[5] += n02 - n012;
	counts[6] += n12 - n012;
	counts[7] += n012;
}

/* Takes as many of the blocks as go together; returns how many. */
static size_t push_run(struct state_map *map, const struct state_block *blocks, size_t n)
{
	const struct state_segment *last = last_segment(map);
	size_t run;

	if (block_is_uniform(blocks)) {
		enum page_state state = block_get(blocks, 0);

		run = equal_run(blocks, n);
		if (run >= SHORT_BLOCKS || run == n ||
		    (last && segment_is_uniform(last) && last->state == state)) {
			push_uniform(map, run, state);
			map->counts[state] += run * STATE_BLOCK_PAGES;
			return run;
		}
	}
	run = dense_run(blocks, n);
	push_dense(map, blocks, run);
	count_blocks(blocks, run, map->counts);
	return run;
}

int state_map_append_blocks(struct state_map *map, const struct state_block *blocks, size_t n)
{
	int r;

	if (map_end(map) % STATE_BLOCK_PAGES != 0)
		return -EINVAL;
	r = make_room(map, n);
	if (r < 0)
		return r;
	for (size_t done = 0; done < n;)
		done += push_run(map, blocks + done, n - done);
	map->count += n * STATE_BLOCK_PAGES;
	return 0;
}
