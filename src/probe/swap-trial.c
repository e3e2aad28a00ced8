/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "probe/swap-trial.h"
#include "probe/walk.h"
#include "util/util.h"

/* A page may come into the swap cache, or leave it, between two questions; but not each time. */
#define TRIAL_TRIES 16

/* One node, and what was said of its entries. */
struct trial {
	struct prober *prober;
	struct mincore_map map;
	uint64_t first;           /* page */
	struct walk_block before; /* as it was read */
	uint64_t asked;           /* entries */
	uint64_t cached;          /* those of them that are, by the way that is on trial */
	uint64_t strange;         /* that cannot be */
	uint64_t empty;           /* of which there is nothing that a wrong place would not say */
	uint64_t reading; /* entries said to be cached, and mincore not: a read under way? */
	uint64_t wrong;   /* entries about which what is said cannot be */
	bool in_doubt;    /* what was compared proves nothing */
};

static int read_block(const struct trial *t, struct walk_block *ret)
{
	struct walker_place place = {t->map.fd, t->first, t->first + WORDS, WALK_NODE_PAGES};
	struct walker_chunk chunk;
	int r = walker_read(t->prober->walker, &place, &chunk);

	*ret = (struct walk_block){.first = t->first};
	if (r >= 0 && chunk.n_records > 0)
		walk_block_take(&chunk.records[0], t->first, ret);
	return r;
}

/* mincore knows only the first page of a large entry. */
static uint64_t entries_to_ask(const struct trial *t)
{
	uint64_t ask = 0;

	for (uint64_t left = t->before.node.entry & ~t->before.node.sibling; left;
	     left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		if (swap_slots_is_slot(&t->prober->slots, t->before.entries[k]))
			ask |= UINT64_C(1) << k;
	}
	return ask;
}

static int ask_slots(struct trial *t)
{
	struct swap_slots *slots = &t->prober->slots;
	enum unit_format format = swap_slots_format(slots);
	struct swap_question question = {0};
	struct swap_answer answer = {0};
	int r;

	for (uint64_t left = t->asked; left; left &= left - 1)
		if (!swap_question_add(slots, &question, t->before.entries[__builtin_ctzll(left)]))
			return -EOVERFLOW;
	r = swap_question_read(slots, &question);
	for (uint64_t left = t->asked; left && r >= 0; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);
		uint64_t unit = swap_answer_unit(slots, &answer, t->before.entries[k]);
		enum unit told = unit_tell(format, unit);

		t->cached |= (uint64_t)(told == UNIT_CACHED) << k;
		t->strange |= (uint64_t)(told == UNIT_STRANGE) << k;
		t->empty |= (uint64_t)(unit == 0) << k;
	}
	return r;
}

/*
 * Returns 1 if they agree, 0 if nothing can be said, -EAGAIN if they do not (or a swap went away in
 * between), or another errno.
 */
static int try_once(struct trial *t)
{
	unsigned char in_core[WORDS];
	struct walk_block after;
	uint64_t resident = 0, same = 0;
	int r = read_block(t, &t->before);

	if (r < 0)
		return r;
	t->asked = entries_to_ask(t);
	t->cached = t->strange = t->empty = t->reading = t->wrong = 0;
	t->in_doubt = false;
	if (!t->asked)
		return 0;
	r = ask_slots(t);
	if (r >= 0)
		r = mincore_read(&t->map, t->first, WORDS, in_core);
	if (r >= 0)
		r = read_block(t, &after);
	if (r < 0)
		return r;
	for (unsigned k = 0; k < WORDS; k++) {
		resident |= (uint64_t)(in_core[k] & 1) << k;
		same |= (uint64_t)(t->before.entries[k] == after.entries[k]) << k;
	}
	same &= t->asked & after.node.entry & ~after.node.sibling;
	t->wrong = same & (t->strange | (resident & ~t->cached));
	t->reading = same & t->cached & ~resident;
	if (t->wrong | t->reading)
		return -EAGAIN;
	t->in_doubt = same && !(same & ~t->empty);
	return (same & ~t->empty) ? 1 : 0;
}

/*
 * Wrong is what is so about the same entry each time. A folio that is being read from a slow disk
 * is in the swap cache, and not resident, for as long as that takes: then nothing is proven.
 */
static int try_way(struct trial *t)
{
	uint64_t wrong = UINT64_MAX;

	for (int i = 0; i < TRIAL_TRIES; i++) {
		int r = try_once(t);

		if (r != -EAGAIN)
			return r;
		wrong &= t->wrong;
		sched_yield();
	}
	t->in_doubt = true;
	return wrong ? -EAGAIN : 0;
}

int swap_trial(struct prober *p, int fd, uint64_t page)
{
	struct trial t = {
		.prober = p,
		.map = {.fd = fd, .page_size = p->caps->page_size},
		.first = page / WORDS * WORDS,
	};
	int r = 0;

	/* Where mincore lies there is no witness. */
	if (p->slots.way == SWAP_WAY_NONE || p->slots.confirmed ||
	    mincore_check(fd, p->caps->page_size) < 0)
		return 0;
	while (p->slots.way != SWAP_WAY_NONE && !p->slots.confirmed) {
		r = try_way(&t);
		if (r == 1)
			p->slots.confirmed = true;
		if (r != -EAGAIN)
			break;
		swap_slots_refuse(&p->slots);
		r = swap_slots_refresh(&p->slots);
		if (r < 0)
			break;
	}
	mincore_unmap(&t.map);
	/* A wrong place may hold nothing but zeros too: until there is more, mincore is asked. */
	if (r == 0 && t.in_doubt && !p->slots.confirmed)
		p->slots.way = SWAP_WAY_NONE;
	return MIN(r, 0);
}
