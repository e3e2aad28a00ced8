/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/account.h"
#include "probe/swap-trial.h"
#include "probe/walk.h"
#include "util/util.h"

/*
 * Blocks on their way into a map. They come in order; gaps between them are holes. A block that
 * begins or ends outside of the map's range is cropped.
 */
struct block_sink {
	struct state_map map;
	uint64_t end; /* pages: where the map is to end */
	struct state_block blocks[WALK_RECORDS];
	size_t n_blocks; /* they follow directly on the map's end */
};

/* A request under way. */
struct walk {
	struct prober *prober;
	const struct probe_request *request;
	uint64_t size;  /* bytes, when the walk began */
	uint64_t first; /* pages */
	uint64_t end;
	struct account before; /* when it began */
	struct block_sink sink;
	struct swap_stretches stretches; /* where the entries are that the fast pass has seen */
	struct walk_facts facts;         /* the latest */
	bool have_slots;                 /* the swaps are known as they are now */
	bool any_entry;
	uint64_t entry_page; /* one of the pages that have one */
	bool need_care;      /* the fast pass saw what only the careful one can tell */
	uint32_t sources;
	uint64_t moved;
};

static uint64_t sink_at(const struct block_sink *s)
{
	return s->map.first + s->map.count + s->n_blocks * WORDS;
}

static int sink_flush(struct block_sink *s)
{
	int r = s->n_blocks ? state_map_append_blocks(&s->map, s->blocks, s->n_blocks) : 0;

	s->n_blocks = 0;
	return r;
}

static int sink_holes(struct block_sink *s, uint64_t until)
{
	uint64_t at = sink_at(s);
	int r;

	if (until <= at)
		return 0;
	r = sink_flush(s);
	return r < 0 ? r : state_map_append(&s->map, until - at, PAGE_HOLE);
}

/* A block of which a part lies outside of the range. */
static int sink_part(struct block_sink *s, uint64_t first, const struct state_block *block)
{
	int r = sink_flush(s);

	for (uint64_t at = sink_at(s); at < MIN(first + WORDS, s->end) && r >= 0; at++) {
		unsigned k = (unsigned)(at - first), state = 0;

		for (unsigned b = 0; b < STATE_PLANES; b++)
			state |= (unsigned)(block->plane[b] >> k & 1) << b;
		r = state_map_append(&s->map, 1, (enum page_state)state);
	}
	return r;
}

static int sink_put(struct block_sink *s, uint64_t first, const struct state_block *block)
{
	int r = sink_holes(s, MIN(first, s->end));

	if (r < 0 || first >= s->end)
		return r;
	if (first < sink_at(s) || first + WORDS > s->end)
		return sink_part(s, first, block);
	if (s->n_blocks == WALK_RECORDS)
		r = sink_flush(s);
	s->blocks[s->n_blocks++] = *block;
	return r;
}

static int sink_finish(struct block_sink *s)
{
	int r = sink_holes(s, s->end);

	return r < 0 ? r : sink_flush(s);
}

/* All entries lie in one aligned run of so many slots. */
static bool lie_within(const struct node *n, uint64_t slots)
{
	return ((n->any ^ n->all) >> 1) / slots == 0;
}

static int note_entry(struct walk *w, uint64_t entry)
{
	if (!w->have_slots) {
		int r = swap_slots_refresh(&w->prober->slots);

		if (r < 0)
			return r;
		w->have_slots = true;
	}
	if (!swap_slots_is_slot(&w->prober->slots, entry)) {
		w->need_care = true;
		return 0;
	}
	return swap_stretches_add(&w->stretches, &w->prober->slots, entry);
}

/* Entries that follow each other hardly ever change the stretch. */
static int note_each(struct walk *w, const uint64_t entries[WORDS], uint64_t which)
{
	uint64_t last = UINT64_MAX;
	int r = 0;

	for (uint64_t left = which; left && r >= 0; left &= left - 1) {
		uint64_t entry = entries[__builtin_ctzll(left)];

		if (entry / SWAP_RUN_SLOTS != last)
			r = note_entry(w, entry);
		last = entry / SWAP_RUN_SLOTS;
	}
	return r;
}

/* Entries of single pages: those of a node lie close together, as a rule. */
static int note_small(struct walk *w, const uint64_t words[WORDS], const struct node *node)
{
	uint64_t first = word_to_entry(words[__builtin_ctzll(node->entry)]), entries[WORDS];
	int r;

	/*
	 * Both stretches of a cluster, even if only one seems to be used: the pieces of a larger
	 * entry that is being split all have the first one's slot. One too many does no harm.
	 */
	if (lie_within(node, 2 * SWAP_RUN_SLOTS)) {
		r = note_entry(w, first);
		if (r >= 0 && !w->need_care)
			r = swap_stretches_add(&w->stretches, &w->prober->slots,
					       first ^ SWAP_RUN_SLOTS);
		return r;
	}
	for (unsigned k = 0; k < WORDS; k++)
		entries[k] = word_to_entry(words[k]);
	return note_each(w, entries, node->entry);
}

/* Remembers where the entries of a node lie. */
static int note_entries(struct walk *w, const struct walk_record *record, struct node *node)
{
	uint64_t entries[WORDS];

	w->any_entry = true;
	w->entry_page = record->first + (unsigned)__builtin_ctzll(node->entry);
	if (record->shift == 0 && node->sibling == 0)
		return note_small(w, record->slots, node);
	if (record->shift == 0)
		node_entries(record->slots, node, entries);
	else
		node_entries_large(record->slots[0], record->first - record->slots[1], entries);
	return note_each(w, entries, node->entry);
}

/* Takes entries for swapped, until it is known that none is in the swap cache. */
static int take_record(struct walk *w, const struct walk_record *record)
{
	static const struct node_swap all_swapped;
	struct state_block block;
	struct node node;
	uint64_t n = record->shift > 6 ? UINT64_C(1) << (record->shift - 6) : 1;
	int r = 0;

	if (record->shift == 0)
		node_sort(record->slots, record->not_uptodate, &node);
	else
		node_sort_large(record->slots[0], record->first - record->slots[1],
				record->not_uptodate, &node);
	if (node.entry)
		r = note_entries(w, record, &node);
	w->need_care |= node.retry != 0 || n > 1;
	node_states(&node, &all_swapped, &block);
	for (uint64_t i = 0; i < n && r >= 0; i++)
		r = sink_put(&w->sink, record->first + i * WORDS, &block);
	return r;
}

static int fast_pass(struct walk *w)
{
	struct walker_place place = {w->request->fd, w->first, w->end, WALK_RECORDS};
	struct walker_chunk chunk;
	int r = 0;

	while (place.first < w->end && r >= 0) {
		r = walker_read(w->prober->walker, &place, &chunk);
		if (r < 0)
			return r;
		for (uint64_t i = 0; i < chunk.n_records && r >= 0; i++)
			r = take_record(w, &chunk.records[i]);
		place.first = chunk.next;
		w->facts = chunk.after;
	}
	return r < 0 ? r : sink_finish(&w->sink);
}

/* 1 if some entry may be in the swap cache, 0 if none is, or a negative errno. */
static int any_cached(struct walk *w)
{
	int r;

	if (!w->any_entry)
		return 0;
	r = swap_trial(w->prober, w->request->fd, w->entry_page);
	if (r < 0)
		return r;
	if (w->prober->slots.way == SWAP_WAY_NONE)
		return 1;
	r = swap_stretches_any_cached(&w->stretches, &w->prober->slots);
	if (r == -EAGAIN)
		return 1;
	w->sources |= w->prober->slots.way == SWAP_WAY_MAP ? SOURCE_SWAP_MAP : SOURCE_SWAP_TABLE;
	return r;
}

/* What the object's own accounting says, out of the walk's facts. */
static void take_facts(const struct walk_facts *facts, struct account *a)
{
	a->have_swapped = true;
	a->swapped = facts->swapped;
	a->have_beyond = true;
	a->beyond = facts->fallocend > a->pages;
}

/* Reads no page, only the facts. */
static int read_facts(struct walk *w)
{
	struct walker_place place = {w->request->fd, 0, 0, WALK_NODE_PAGES};
	struct walker_chunk chunk;
	int r = walker_read(w->prober->walker, &place, &chunk);

	if (r >= 0)
		w->facts = chunk.after;
	return r;
}

static int visit_block(void *context, const struct walk_block *b)
{
	struct walk *w = context;
	struct state_block block;

	node_states(&b->node, &b->swap, &block);
	return sink_put(&w->sink, b->first, &block);
}

/*
 * Looks at everything again, and counts what is not as the pass before has found it. The fast one
 * took all entries for swapped, of which some may have been in the swap cache.
 */
static int careful_pass(struct walk *w, bool after_fast)
{
	struct walk_range range = {.fd = w->request->fd, .first = w->first, .end = w->end};
	enum page_state other = after_fast ? PAGE_SWAP_CACHE : PAGE_SWAPPED;
	struct state_map old = w->sink.map;
	int r;

	w->sink.map = (struct state_map){.first = w->first};
	r = walk_careful(w->prober, &range, visit_block, w);
	if (r >= 0)
		r = sink_finish(&w->sink);
	if (r >= 0)
		w->moved = MAX(range.moved,
			       state_map_difference_but(&old, &w->sink.map, PAGE_SWAPPED, other));
	w->sources |= range.sources;
	state_map_done(&old);
	return r;
}

/*
 * A page may come into the swap cache, or leave it, without anything in the accounting: where there
 * are such pages, or others that the fast pass does not know, it takes two looks to say that they
 * agree.
 */
static int careful_passes(struct walk *w, bool cached)
{
	int r = careful_pass(w, true);

	if (r < 0 || w->request->one_look)
		return r;
	if (cached || w->need_care || w->sink.map.counts[PAGE_SWAP_CACHE] > 0)
		r = careful_pass(w, false);
	return r;
}

/* 1 if nothing of the object can have moved since the walk began, 0 if not known. */
static int is_quiet(struct walk *w)
{
	struct account after;
	int r = read_facts(w);

	if (r >= 0)
		r = account_read_stat(w->request->fd, w->request->caps, &after);
	if (r < 0)
		return r;
	/* A punch or truncate accounts for the entries it has freed, and moves ctime, at its end.
	 */
	if (w->facts.writing || w->facts.locked)
		return 0;
	/* fstat has set that right, if it was not; else we have read something else. */
	if (w->facts.alloced != w->facts.nrpages + w->facts.swapped)
		return 0;
	take_facts(&w->facts, &after);
	account_add_events(&after);
	return account_is_quiet(&w->before, &after);
}

/*
 * The fast pass will do if nothing moved meanwhile: then entries that are found outside of the swap
 * cache afterwards were so all the time, or have just left it. Without entries every word speaks
 * for itself.
 */
static int walk_object(struct walk *w)
{
	bool one_look = w->request->one_look;
	int cached, quiet, r = fast_pass(w);

	if (r < 0)
		return r;
	if (one_look)
		return w->any_entry || w->need_care ? careful_passes(w, false) : 0;
	cached = any_cached(w);
	quiet = cached < 0 ? cached : is_quiet(w);
	if (quiet < 0)
		return quiet;
	/* The first write to a page that fallocate made leaves no trace either. */
	if (quiet && !cached && !w->need_care && w->sink.map.counts[PAGE_ALLOCATED] == 0)
		return 0;
	return careful_passes(w, cached);
}

static int walk_begin(struct walk *w)
{
	const struct page_range *asked = &w->request->range;
	int r = account_read_stat(w->request->fd, w->request->caps, &w->before);

	if (r >= 0)
		r = read_facts(w);
	if (r < 0)
		return r;
	take_facts(&w->facts, &w->before);
	if (!w->request->one_look)
		account_add_events(&w->before);
	w->size = w->before.size;
	w->first = MIN(asked->first, w->before.pages);
	w->end = w->first + MIN(asked->count, w->before.pages - w->first);
	w->sink.map.first = w->first;
	w->sink.end = w->end;
	return 0;
}

static void fill_snapshot(struct walk *w, struct snapshot *ret)
{
	struct state_map map = w->sink.map;

	w->sink.map = (struct state_map){0};
	*ret = (struct snapshot){
		.page_size = w->request->caps->page_size,
		.size = w->size,
		.first = w->first,
		.count = w->end - w->first,
		.probe = "walk",
		.sources = w->sources | SOURCE_PAGE_CACHE,
		.stable = w->moved == 0 && !w->request->one_look,
		.moved = w->moved,
		.inode = w->facts.inode,
		.map = map,
	};
	memcpy(ret->counts, map.counts, sizeof(ret->counts));
	if (map.counts[PAGE_UNKNOWN] > 0)
		ret->reasons |=
			w->sources & SOURCE_MINCORE ? SNAPSHOT_LARGE_UNASKED : SNAPSHOT_KEPT_MOVING;
}

int probe_walk(struct prober *p, const struct probe_request *request, struct snapshot *ret)
{
	struct walk *w;
	int r;

	if (!p->walker)
		return -EOPNOTSUPP;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->prober = p;
	w->request = request;
	r = walk_begin(w);
	if (r >= 0)
		r = walk_object(w);
	if (r >= 0)
		fill_snapshot(w, ret);
	swap_stretches_done(&w->stretches);
	state_map_done(&w->sink.map);
	free(w);
	return r;
}
