/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "classify/node.h"
#include "util/util.h"

/* Bits of runs in `run` each of which follows directly on a bit of `head`. */
static uint64_t spread(uint64_t head, uint64_t run)
{
	uint64_t start = head << 1 & run;

	/* Adding its first bit to a run of ones carries through the run, and clears it. */
	return run & ~(run + start);
}

/*
 * A sibling comes right after its head or another sibling of that head: all else is a change, and
 * so is what follows on it.
 */
static uint64_t find_odd(const uint64_t words[WORDS], uint64_t internal)
{
	uint64_t odd = 0;

	for (uint64_t left = internal; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);
		bool after_sibling = k > 0 && words[k - 1] == words[k] && !(odd >> (k - 1) & 1);
		bool after_head = k > 0 && word_to_sibling(words[k]) == k - 1 &&
				  !(internal >> (k - 1) & 1) && words[k - 1] != 0;

		if (!word_is_sibling(words[k]) || !(after_sibling || after_head))
			odd |= UINT64_C(1) << k;
	}
	return odd;
}

void node_sort(const uint64_t words[WORDS], uint64_t never_written, struct node *ret)
{
	struct word_masks m;
	uint64_t folio, entry, odd;

	words_sort(words, &m);
	folio = m.used & ~m.value & ~m.internal;
	*ret = (struct node){
		.folio = folio,
		.allocated = never_written & folio,
		.entry = m.value,
		.any = m.any,
		.all = m.all,
	};
	if (m.internal == 0)
		return;
	odd = find_odd(words, m.internal);
	entry = spread(m.value, m.internal & ~odd);
	ret->entry |= entry;
	ret->allocated |= spread(ret->allocated, m.internal & ~odd);
	ret->folio |= m.internal & ~odd & ~entry;
	ret->sibling = m.internal & ~odd;
	ret->retry = odd;
}

void node_sort_large(uint64_t word, uint64_t before, bool never_written, struct node *ret)
{
	*ret = (struct node){.all = UINT64_MAX, .sibling = before ? UINT64_MAX : ~UINT64_C(1)};
	if (word & 1) {
		ret->entry = UINT64_MAX;
		ret->any = ret->all = word;
	} else if (word & 2) {
		ret->retry = UINT64_MAX;
	} else if (word) {
		ret->folio = UINT64_MAX;
		ret->allocated = never_written ? UINT64_MAX : 0;
	}
}

/*
 * A split puts the head's word into every piece before each gets its own. A piece lies in the other
 * half of something that begins with the head; so the head's place is the piece's without some of
 * the lower bits. Returns both. (Poison is the same word everywhere.)
 */
static uint64_t find_twin(const uint64_t words[WORDS], unsigned k)
{
	if (entry_type(word_to_entry(words[k])) >= ENTRY_TYPE_SPECIAL)
		return 0;
	for (unsigned left = k; left; left &= left - 1) {
		unsigned head = left & (left - 1);

		if (words[head] == words[k])
			return UINT64_C(1) << k | UINT64_C(1) << head;
	}
	return 0;
}

void node_entries(const uint64_t words[WORDS], struct node *node, uint64_t entries[WORDS])
{
	uint64_t splitting = 0;

	for (uint64_t left = node->entry; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left), head = k;

		if (node->sibling >> k & 1)
			head = word_to_sibling(words[k]);
		else
			splitting |= find_twin(words, k);
		entries[k] = word_to_entry(words[head]) + (k - head);
	}
	splitting |= spread(splitting, node->sibling);
	node->retry |= splitting;
	node->entry &= ~splitting;
	node->sibling &= ~splitting;
}

void node_entries_large(uint64_t word, uint64_t before, uint64_t entries[WORDS])
{
	for (unsigned k = 0; k < WORDS; k++)
		entries[k] = word_to_entry(word) + before + k;
}

void node_states(const struct node *node, const struct node_swap *swap, struct state_block *ret)
{
	uint64_t unknown = node->retry | (node->entry & swap->unknown);
	uint64_t entry = node->entry & ~unknown, poison = entry & swap->poison;
	uint64_t cached = entry & swap->cached & ~poison;
	uint64_t written = node->folio & ~node->allocated;

	/* hole 000, allocated 001, present 010, swap_cache 011, swapped 100, poisoned 101,
	 * unknown 111 */
	_Static_assert(PAGE_HOLE == 0 && PAGE_ALLOCATED == 1 && PAGE_PRESENT == 2 &&
			       PAGE_SWAP_CACHE == 3 && PAGE_SWAPPED == 4 && PAGE_POISONED == 5 &&
			       PAGE_UNKNOWN == 7,
		       "the planes are bits of the state");
	ret->plane[0] = node->allocated | cached | poison | unknown;
	ret->plane[1] = written | cached | unknown;
	ret->plane[2] = (entry & ~cached) | unknown;
}
