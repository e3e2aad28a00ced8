/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "classify/words.h"
#include "probe/kernel-text.h"
#include "probe/swap-slots.h"
#include "probe/walker-inside.h"
#include "util/util.h"

/* Slots further apart than this are read in runs of their own. */
#define GAP_MAX 16

const char *swap_way_to_string(enum swap_way way)
{
	switch (way) {
	case SWAP_WAY_NONE:
		return "none";
	case SWAP_WAY_MAP:
		return "swap_map";
	case SWAP_WAY_TABLE:
		return "swap_table";
	case SWAP_WAY_MAX:
		break;
	}
	return "none";
}

/*
 * Types are given out from 0 on, a structure is never freed, and each says which type it is: what
 * is no array of swaps will hardly do that. The array has MAX_SWAPFILES entries, which is fewer
 * than SWAP_TYPES: what comes behind is something else. Returns how many there are.
 */
static unsigned keep_swaps(struct swap_type types[SWAP_TYPES])
{
	unsigned n = 0;

	while (n < SWAP_TYPES && is_kernel_address(types[n].address) && types[n].type == n)
		n++;
	memset(types + n, 0, (SWAP_TYPES - n) * sizeof(*types));
	return n;
}

/* Returns how many swaps there have been since boot, or a negative errno. */
static int read_types(struct swap_slots *s, uint64_t swap_info)
{
	int r = walker_swap_types(s->walker, swap_info, s->zswap_trees);

	if (r < 0)
		return r;
	memcpy(s->types, walker_swap(s->walker)->types, sizeof(s->types));
	return (int)keep_swaps(s->types);
}

/* There is none to be found before the first swapon since boot: then it is looked for again. */
static int find_swap_info(struct swap_slots *s)
{
	struct swap_places places;
	uint64_t candidates[KERNEL_ARRAYS_MAX];
	size_t n = 0;
	int r = walker_swap_find(s->walker);

	if (r < 0)
		return r;
	places = walker_swap(s->walker)->places;
	s->has_maps = places.has_maps;
	s->has_tables = places.has_tables;
	s->error = places.swap_info || places.get_swap_device ? -ENODATA : -EPERM;
	if (places.swap_info)
		candidates[n++] = places.swap_info;
	else
		n = kernel_text_arrays(places.get_swap_device_text, SWAP_TEXT_BYTES, candidates);
	r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = read_types(s, candidates[i]);
		if (r > 0)
			s->swap_info = candidates[i];
	}
	return MIN(r, 0);
}

static bool may_use(const struct swap_slots *s, enum swap_way way)
{
	if (s->refused[way])
		return false;
	return way == SWAP_WAY_MAP ? s->has_maps && !s->avoid_map : s->has_tables;
}

static void choose_way(struct swap_slots *s)
{
	enum swap_way way = SWAP_WAY_NONE;

	if (s->swap_info)
		way = may_use(s, SWAP_WAY_MAP)     ? SWAP_WAY_MAP
		      : may_use(s, SWAP_WAY_TABLE) ? SWAP_WAY_TABLE
						   : SWAP_WAY_NONE;
	if (way != s->way) {
		s->confirmed = false;
		memset(s->checked, 0, sizeof(s->checked));
	}
	s->way = way;
	if (s->swap_info && way == SWAP_WAY_NONE)
		s->error = -EOPNOTSUPP;
}

void swap_slots_refuse(struct swap_slots *s)
{
	s->refused[s->way] = true;
}

enum unit_format swap_slots_format(const struct swap_slots *s)
{
	if (s->way == SWAP_WAY_MAP)
		return UNIT_BYTE;
	return s->has_maps ? UNIT_WORD : UNIT_COUNTED_WORD;
}

static bool lies_in(uint64_t address, uint64_t begin, uint64_t size)
{
	return address && address - begin < size;
}

/*
 * What is not the same thing does not lie in the same place, nor in another thing. Of the zeromap
 * there is nothing else that tells: any word might be one of its words.
 */
static bool makes_sense(const struct swap_type *t, const struct swap_places *p)
{
	uint64_t clusters = p->cluster_slots ? t->max / p->cluster_slots + 1 : 0;
	const uint64_t places[] = {t->swap_map, t->zeromap, t->cluster_info, t->frontswap_map};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t k = 0; k < i; k++)
			if (places[i] && places[i] == places[k])
				return false;
	if (t->zeromap && !is_kernel_address(t->zeromap))
		return false;
	return !lies_in(t->zeromap, t->address, p->type_bytes) &&
	       !lies_in(t->zeromap, t->cluster_info, clusters * p->cluster_bytes) &&
	       !lies_in(t->zeromap, t->swap_map, t->max);
}

/*
 * The first slot is none: it holds the header. What says of it that it is bad is the map or the
 * table, beyond doubt where the whole byte or word is like no other. (One that goes away this
 * moment cannot be read: then it is not checked yet.)
 */
static int check_type(struct swap_slots *s, unsigned type)
{
	struct swap_shared *shared = walker_swap(s->walker);
	struct swap_question q = {0};
	int r;

	if (!makes_sense(&s->types[type], &shared->places))
		return -EOPNOTSUPP;
	if (!swap_question_add(s, &q, (uint64_t)type << ENTRY_TYPE_SHIFT))
		return -EOVERFLOW;
	shared->units[0] = 0;
	r = swap_question_read(s, &q);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (!unit_is_header(swap_slots_format(s), shared->units[0]))
		return -EOPNOTSUPP;
	s->checked[type] = s->types[type];
	return 0;
}

/* Those that were swapped on since: whether they are what they are taken for. */
static int check_types(struct swap_slots *s)
{
	for (unsigned k = 0; k < SWAP_TYPES; k++) {
		const struct swap_type *t = &s->types[k], *old = &s->checked[k];
		int r;

		/* Before it may be written to, and when it no more may, it is not whole. */
		if (!t->address || !(t->flags & SWAP_FLAG_WRITEOK) ||
		    (t->swap_map == old->swap_map && t->cluster_info == old->cluster_info &&
		     t->zeromap == old->zeromap))
			continue;
		r = check_type(s, k);
		if (r < 0)
			return r;
	}
	return 0;
}

int swap_slots_refresh(struct swap_slots *s)
{
	int r = 0;

	if (s->avoid_swap_info)
		s->swap_info = 0;
	else if (s->swap_info)
		r = read_types(s, s->swap_info);
	else
		r = find_swap_info(s);
	if (r < 0)
		return r;
	for (choose_way(s); s->way != SWAP_WAY_NONE; choose_way(s)) {
		r = check_types(s);
		if (r != -EOPNOTSUPP)
			return r;
		swap_slots_refuse(s);
	}
	return 0;
}

bool swap_slots_is_slot(const struct swap_slots *s, uint64_t entry)
{
	unsigned type = entry_type(entry);
	const struct swap_type *t = &s->types[type];

	if (s->way == SWAP_WAY_NONE)
		return type < ENTRY_TYPE_SPECIAL;
	return t->address && (t->flags & SWAP_FLAG_USED) && entry_offset(entry) < t->max;
}

bool swap_slots_is_poison(const struct swap_slots *s, uint64_t entry)
{
	return entry_type(entry) >= ENTRY_TYPE_SPECIAL && !swap_slots_is_slot(s, entry);
}

static size_t unit_size(const struct swap_slots *s)
{
	return s->way == SWAP_WAY_MAP ? 1 : sizeof(uint64_t);
}

static uint64_t bytes_of(const struct swap_slots *s, uint64_t slots)
{
	return (slots * unit_size(s) + 7) / 8 * 8;
}

bool swap_question_add(struct swap_slots *s, struct swap_question *q, uint64_t entry)
{
	struct swap_run *runs = walker_swap(s->walker)->runs, *run = runs + q->n_runs - 1;
	uint64_t offset = entry_offset(entry), count;

	if (q->n_runs > 0 && run->type == entry_type(entry) && offset >= run->offset &&
	    offset < run->offset + run->count + GAP_MAX &&
	    offset / SWAP_RUN_SLOTS == run->offset / SWAP_RUN_SLOTS) {
		count = MAX((uint64_t)run->count, offset - run->offset + 1);
		q->bytes += bytes_of(s, count) - bytes_of(s, run->count);
		run->count = (uint32_t)count;
		return true;
	}
	if (q->n_runs == SWAP_RUNS ||
	    q->bytes + 2 * SWAP_RUN_SLOTS * sizeof(uint64_t) > SWAP_UNITS_BYTES)
		return false;
	runs[q->n_runs++] = (struct swap_run){
		.offset = offset,
		.type = entry_type(entry),
		.count = 1,
	};
	q->bytes += bytes_of(s, 1);
	return true;
}

int swap_question_read(struct swap_slots *s, const struct swap_question *q)
{
	const struct swap_shared *shared = walker_swap(s->walker);
	int r = walker_swap_copy(s->walker, q->n_runs, s->way == SWAP_WAY_TABLE);

	if (r < 0)
		return r;
	return shared->failed || shared->n_runs_done != q->n_runs ? -EAGAIN : 0;
}

/* Answers lie one run behind the other. */
static uint64_t unit_at(const struct swap_slots *s, uint64_t at)
{
	const uint64_t *units = walker_swap(s->walker)->units;

	if (s->way == SWAP_WAY_MAP)
		return ((const uint8_t *)units)[at];
	return units[at / sizeof(uint64_t)];
}

bool swap_run_has(const struct swap_run *run, uint64_t entry)
{
	return run->type == entry_type(entry) && entry_offset(entry) >= run->offset &&
	       entry_offset(entry) - run->offset < run->count;
}

uint64_t swap_answer_unit(const struct swap_slots *s, struct swap_answer *a, uint64_t entry)
{
	const struct swap_run *runs = walker_swap(s->walker)->runs;

	while (!swap_run_has(&runs[a->run], entry))
		a->at += bytes_of(s, runs[a->run++].count);
	return unit_at(s, a->at + (entry_offset(entry) - runs[a->run].offset) * unit_size(s));
}

void swap_stretches_done(struct swap_stretches *s)
{
	for (unsigned k = 0; k < SWAP_TYPES; k++)
		free(s->bits[k]);
	*s = (struct swap_stretches){0};
}

int swap_stretches_add(struct swap_stretches *s, const struct swap_slots *slots, uint64_t entry)
{
	uint64_t stretch = entry_offset(entry) / SWAP_RUN_SLOTS;
	unsigned type = entry_type(entry);

	if (!s->bits[type]) {
		s->n[type] =
			((uint64_t)slots->types[type].max + SWAP_RUN_SLOTS - 1) / SWAP_RUN_SLOTS;
		s->bits[type] = calloc(s->n[type] / 64 + 1, sizeof(uint64_t));
		if (!s->bits[type])
			return -ENOMEM;
	}
	if (stretch < s->n[type])
		s->bits[type][stretch / 64] |= UINT64_C(1) << (stretch % 64);
	return 0;
}

/* Is any slot of the runs in the swap cache? All of them begin and end with a word. */
static int any_cached(struct swap_slots *s, const struct swap_question *q)
{
	const uint64_t *units = walker_swap(s->walker)->units;
	uint64_t cached = 0;
	int r = swap_question_read(s, q);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i < q->bytes / sizeof(uint64_t); i++)
		cached |= s->way == SWAP_WAY_MAP
				  ? units[i] & UINT64_C(0x0101010101010101) * SWAP_MAP_HAS_CACHE
				  : (uint64_t)word_may_be_cached(units[i]);
	return cached != 0;
}

static int add_stretch(struct swap_slots *s, struct swap_question *q, unsigned type,
		       uint64_t stretch)
{
	uint64_t first = stretch * SWAP_RUN_SLOTS;
	uint64_t count = MIN(s->types[type].max - first, (uint64_t)SWAP_RUN_SLOTS);
	int r = 0;

	if (q->n_runs == SWAP_RUNS ||
	    q->bytes + bytes_of(s, count) > SWAP_UNITS_BYTES - SWAP_RUN_SLOTS * sizeof(uint64_t)) {
		r = any_cached(s, q);
		*q = (struct swap_question){0};
	}
	walker_swap(s->walker)->runs[q->n_runs++] = (struct swap_run){
		.offset = first,
		.type = type,
		.count = (uint32_t)count,
	};
	q->bytes += bytes_of(s, count);
	return r;
}

int swap_stretches_any_cached(const struct swap_stretches *s, struct swap_slots *slots)
{
	struct swap_question q = {0};
	int r = 0;

	for (unsigned type = 0; type < SWAP_TYPES && r == 0; type++)
		for (uint64_t word = 0; s->bits[type] && word <= s->n[type] / 64 && r == 0; word++)
			for (uint64_t left = s->bits[type][word]; left && r == 0; left &= left - 1)
				r = add_stretch(slots, &q, type,
						word * 64 + (uint64_t)__builtin_ctzll(left));
	return r == 0 && q.n_runs > 0 ? any_cached(slots, &q) : r;
}
