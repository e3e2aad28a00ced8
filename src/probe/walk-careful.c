/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "model/snapshot.h"
#include "probe/swap-contents.h"
#include "probe/swap-trial.h"
#include "probe/walk.h"
#include "util/util.h"

/* What one reading covers: the pages below one node of the second level. */
#define LOOK_BLOCKS 64

/* How long to wait for somebody who holds the page cache's lock. */
#define LOCK_TRIES 256

/* How often a block that changes while it is read is read again. */
#define SETTLE_TRIES 16
#define SETTLE_WAITS 4 /* from this try on it waits, each time twice as long */
#define SETTLE_WAIT_MAX_US 100000

/* One reading, and the entries as they were then. */
struct look {
	uint64_t end; /* pages before this one were read */
	bool locked_before;
	bool locked_after;
	size_t n_blocks;
	struct walk_block blocks[LOOK_BLOCKS];
};

struct careful {
	struct prober *prober;
	struct walk_range *range;
	struct mincore_map map;  /* where the swap's accounting cannot be read */
	bool may_ask;            /* and mincore does not lie to us */
	unsigned waited_us;      /* for what did not settle */
	struct look looks[2];    /* of all, piece by piece */
	struct look settling[2]; /* of one block that moved */
};

void walk_block_take(const struct walk_record *record, uint64_t first, struct walk_block *ret)
{
	uint64_t before = first - record->slots[1];

	ret->first = first;
	ret->ask_again = 0;
	ret->swap = (struct node_swap){0};
	memset(ret->contents, 0, sizeof(ret->contents));
	if (record->shift == 0) {
		node_sort(record->slots, record->not_uptodate, &ret->node);
		node_entries(record->slots, &ret->node, ret->entries);
		return;
	}
	node_sort_large(record->slots[0], before, record->not_uptodate, &ret->node);
	node_entries_large(record->slots[0], before, ret->entries);
}

/* Pages of the range before `end`, at most LOOK_BLOCKS blocks of them. */
static int look_read(struct careful *c, uint64_t first, uint64_t end, struct look *look)
{
	struct walker_place place = {c->range->fd, first, end, WALK_NODE_PAGES};
	struct walker_chunk chunk;
	int r = walker_read(c->prober->walker, &place, &chunk);

	if (r < 0)
		return r;
	look->n_blocks = 0;
	look->end = MIN(chunk.next, end);
	look->locked_before = chunk.before.locked;
	look->locked_after = chunk.after.locked;
	for (uint64_t i = 0; i < chunk.n_records; i++) {
		const struct walk_record *record = &chunk.records[i];
		uint64_t at = MAX(record->first, first / WORDS * WORDS);
		uint64_t record_end = record->first + MAX(UINT64_C(1) << record->shift, WORDS);

		for (; at < MIN(record_end, end); at += WORDS) {
			if (look->n_blocks == LOOK_BLOCKS) {
				look->end = at;
				return 0;
			}
			walk_block_take(record, at, &look->blocks[look->n_blocks++]);
		}
	}
	return 0;
}

/* Entries that are in no swap: poison if their type can be none of a swap, else a swap is new. */
static void sort_out_strangers(const struct swap_slots *slots, struct walk_block *b)
{
	for (uint64_t left = b->node.entry; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		if (swap_slots_is_slot(slots, b->entries[k]))
			continue;
		if (swap_slots_is_poison(slots, b->entries[k]))
			b->swap.poison |= UINT64_C(1) << k;
		else
			b->ask_again |= UINT64_C(1) << k;
	}
}

static uint64_t slots_to_ask(const struct walk_block *b)
{
	return b->node.entry & ~b->swap.poison & ~b->ask_again;
}

/* What was asked, in the order of the entries. */
static void take_cached(const struct swap_slots *slots, struct look *look)
{
	enum unit_format format = swap_slots_format(slots);
	struct swap_answer answer = {0};

	for (size_t i = 0; i < look->n_blocks; i++) {
		struct walk_block *b = &look->blocks[i];

		for (uint64_t left = slots_to_ask(b); left; left &= left - 1) {
			unsigned k = (unsigned)__builtin_ctzll(left);

			switch (unit_tell(format,
					  swap_answer_unit(slots, &answer, b->entries[k]))) {
			case UNIT_SWAPPED:
				break;
			case UNIT_CACHED:
				b->swap.cached |= UINT64_C(1) << k;
				break;
			case UNIT_STRANGE:
				b->ask_again |= UINT64_C(1) << k;
				break;
			}
		}
	}
}

static void take_contents(const struct swap_slots *slots, struct look *look)
{
	struct swap_answer answer = {0};

	for (size_t i = 0; i < look->n_blocks; i++) {
		struct walk_block *b = &look->blocks[i];

		for (uint64_t left = slots_to_ask(b); left; left &= left - 1) {
			unsigned k = (unsigned)__builtin_ctzll(left);

			b->contents[k] = swap_contents_of(slots, &answer, b->entries[k]);
			if (b->contents[k] & SWAP_SLOT_CACHED)
				b->swap.cached |= UINT64_C(1) << k;
			if (b->contents[k] & SWAP_SLOT_CACHE_UNKNOWN)
				b->swap.unknown |= UINT64_C(1) << k;
		}
	}
}

static int ask_slots(struct careful *c, struct look *look)
{
	struct swap_slots *slots = &c->prober->slots;
	struct swap_question question = {0};
	int r;

	for (size_t i = 0; i < look->n_blocks; i++) {
		struct walk_block *b = &look->blocks[i];

		for (uint64_t left = slots_to_ask(b); left; left &= left - 1)
			if (!swap_question_add(slots, &question, b->entries[__builtin_ctzll(left)]))
				return -EOVERFLOW;
	}
	if (question.n_runs == 0)
		return 0;
	c->range->sources |= slots->way == SWAP_WAY_MAP ? SOURCE_SWAP_MAP : SOURCE_SWAP_TABLE;
	r = c->range->contents ? swap_contents_read(slots, &question)
			       : swap_question_read(slots, &question);
	if (r < 0)
		return r;
	if (c->range->contents)
		take_contents(slots, look);
	else
		take_cached(slots, look);
	return 0;
}

/*
 * mincore says of an entry whether its folio is in the swap cache; but of a large entry it looks up
 * the first page only, so that of the others nothing is known.
 */
static int ask_mincore(struct careful *c, struct look *look)
{
	for (size_t i = 0; i < look->n_blocks; i++) {
		struct walk_block *b = &look->blocks[i];
		unsigned char in_core[WORDS];
		size_t n = MIN(c->range->end - b->first, WORDS);
		int r;

		if (slots_to_ask(b) == 0)
			continue;
		r = c->may_ask ? 0 : mincore_check(c->range->fd, c->map.page_size);
		if (r < 0)
			return r;
		c->may_ask = true;
		r = mincore_read(&c->map, b->first, n, in_core);
		if (r < 0)
			return r;
		c->range->sources |= SOURCE_MINCORE;
		b->swap.unknown |= slots_to_ask(b) & b->node.sibling;
		for (size_t k = 0; k < n; k++) {
			b->swap.cached |= (uint64_t)(in_core[k] & 1) << k;
			b->contents[k] = SWAP_SLOT_UNKNOWN;
		}
	}
	return 0;
}

static int ask_about_entries(struct careful *c, struct look *look)
{
	const struct swap_slots *slots = &c->prober->slots;

	for (size_t i = 0; i < look->n_blocks && !slots->confirmed; i++) {
		int r = 0;

		if (look->blocks[i].node.entry)
			r = swap_trial(c->prober, c->range->fd, look->blocks[i].first);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < look->n_blocks; i++)
		sort_out_strangers(slots, &look->blocks[i]);
	return slots->way == SWAP_WAY_NONE ? ask_mincore(c, look) : ask_slots(c, look);
}

/* Pages that are the same in both, as far as their state goes. */
static uint64_t same_pages(const struct walk_block *a, const struct walk_block *b)
{
	uint64_t none_a = ~(a->node.folio | a->node.entry | a->node.retry);
	uint64_t none_b = ~(b->node.folio | b->node.entry | b->node.retry);
	uint64_t same = (none_a & none_b) | (a->node.folio & b->node.folio);

	for (uint64_t left = a->node.entry & b->node.entry; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		same |= (uint64_t)(a->entries[k] == b->entries[k]) << k;
	}
	return same;
}

/*
 * The second reading counts. What was asked holds for its entries if they are those of the first;
 * others have to be asked about anew.
 */
static void merge_block(struct careful *c, const struct walk_block *old, struct walk_block *b)
{
	uint64_t same = same_pages(old, b);

	c->range->moved += (uint64_t)__builtin_popcountll(~same & ~b->node.retry);
	b->swap = old->swap;
	memcpy(b->contents, old->contents, sizeof(b->contents));
	b->node.retry |= b->node.entry & (~same | old->ask_again);
	b->node.entry &= ~b->node.retry;
}

/* Blocks that were emptied in between: those of the old look before this page. Returns the next. */
static size_t skip_emptied(struct careful *c, const struct look *old, size_t i, uint64_t end)
{
	for (; i < old->n_blocks && old->blocks[i].first < end; i++)
		c->range->moved += (uint64_t)__builtin_popcountll(old->blocks[i].node.folio |
								  old->blocks[i].node.entry);
	return i;
}

static void merge_looks(struct careful *c, const struct look *old, struct look *look)
{
	size_t i = 0;

	for (size_t k = 0; k < look->n_blocks; k++) {
		struct walk_block *b = &look->blocks[k], nothing = {.first = b->first};

		i = skip_emptied(c, old, i, b->first);
		if (i < old->n_blocks && old->blocks[i].first == b->first)
			merge_block(c, &old->blocks[i++], b);
		else
			merge_block(c, &nothing, b);
	}
	skip_emptied(c, old, i, look->end);
}

/* Nothing that was said of the entries holds. */
static void ask_all_again(struct look *look)
{
	for (size_t i = 0; i < look->n_blocks; i++)
		look->blocks[i].ask_again = UINT64_MAX;
}

/*
 * While a large entry is split its pieces have, for a moment, the first one's number. That moment
 * is long if a virtual CPU is taken away in it; but it ends before the lock is given back. So what
 * both readings say is no such number unless somebody may have held the lock from one to the other.
 */
static int look_again(struct careful *c, uint64_t first, struct look looks[2])
{
	int r = look_read(c, first, looks[0].end, &looks[1]);

	for (int i = 0; r >= 0 && looks[0].locked_after && looks[1].locked_before; i++) {
		if (i == LOCK_TRIES) {
			ask_all_again(&looks[0]);
			return 0;
		}
		sched_yield();
		r = look_read(c, first, looks[0].end, &looks[1]);
	}
	return r;
}

/* Reads, asks, reads again; the result is in looks[1]. */
static int look_twice(struct careful *c, uint64_t first, uint64_t end, struct look looks[2])
{
	int r = look_read(c, first, end, &looks[0]);

	if (r < 0)
		return r;
	r = ask_about_entries(c, &looks[0]);
	if (r == -EAGAIN)
		ask_all_again(&looks[0]);
	if (r < 0 && r != -EAGAIN)
		return r;
	r = look_again(c, first, looks);
	if (r < 0)
		return r;
	merge_looks(c, &looks[0], &looks[1]);
	return 0;
}

static uint64_t choose(uint64_t from, uint64_t new, uint64_t pages)
{
	return (from & ~pages) | (new &pages);
}

/* Takes over from a newer look at the same block what that could settle. */
static void settle_pages(struct walk_block *b, const struct walk_block *new)
{
	uint64_t pages = b->node.retry & ~new->node.retry;

	b->node.folio = choose(b->node.folio, new->node.folio, pages);
	b->node.allocated = choose(b->node.allocated, new->node.allocated, pages);
	b->node.entry = choose(b->node.entry, new->node.entry, pages);
	b->node.sibling = choose(b->node.sibling, new->node.sibling, pages);
	b->swap.cached = choose(b->swap.cached, new->swap.cached, pages);
	b->swap.poison = choose(b->swap.poison, new->swap.poison, pages);
	b->swap.unknown = choose(b->swap.unknown, new->swap.unknown, pages);
	for (uint64_t left = new->node.entry &pages; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		b->entries[k] = new->entries[k];
		b->contents[k] = new->contents[k];
	}
	b->node.retry &= ~pages;
}

/*
 * What a few looks at once did not settle may take its time: until 6.3 a collapse has the places of
 * the pages that it copies. A walk waits no longer than that in all, for what never settles.
 */
static void wait_to_settle(struct careful *c, int try)
{
	unsigned us = try < SETTLE_WAITS ? 0 : 10u << (try - SETTLE_WAITS);

	if (us == 0 || c->waited_us + us > SETTLE_WAIT_MAX_US)
		return;
	c->waited_us += us;
	usleep(us);
}

static int settle_block(struct careful *c, struct walk_block *b)
{
	uint64_t moved = c->range->moved; /* what moves on and on has moved once */

	for (int i = 0; i < SETTLE_TRIES && b->node.retry; i++) {
		struct walk_block nothing = {.first = b->first};
		struct look *look = &c->settling[1];
		int r;

		wait_to_settle(c, i);
		r = swap_slots_refresh(&c->prober->slots);
		if (r >= 0)
			r = look_twice(c, b->first, b->first + WORDS, c->settling);
		c->range->moved = moved;
		if (r < 0)
			return r;
		settle_pages(b, look->n_blocks > 0 ? &look->blocks[0] : &nothing);
	}
	return 0;
}

static int careful_run(struct careful *c, walk_visit visit, void *context)
{
	uint64_t at = c->range->first;
	int r = swap_slots_refresh(&c->prober->slots);

	while (r >= 0 && at < c->range->end) {
		r = look_twice(c, at, c->range->end, c->looks);
		at = c->looks[1].end;
		for (size_t i = 0; i < c->looks[1].n_blocks && r >= 0; i++) {
			r = settle_block(c, &c->looks[1].blocks[i]);
			if (r >= 0)
				r = visit(context, &c->looks[1].blocks[i]);
		}
	}
	return r;
}

int walk_careful(struct prober *p, struct walk_range *range, walk_visit visit, void *context)
{
	struct careful *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->prober = p;
	c->range = range;
	c->map = (struct mincore_map){.fd = range->fd, .page_size = p->caps->page_size};
	r = careful_run(c, visit, context);
	mincore_unmap(&c->map);
	free(c);
	return r;
}
