/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "classify/node.h"

#define RETRY UINT64_C(0x402)
#define ZERO UINT64_C(0x406)
#define NODE UINT64_C(0xffff888012345002)
#define FOLIO UINT64_C(0xffffea0001234500)

enum kind {
	NOTHING,
	WRITTEN,
	ALLOCATED,
	ENTRY,
	KINDS,
};

/* 64 words, and what they mean. */
struct made {
	uint64_t words[WORDS];
	uint64_t never_written; /* as the walk tells it: at heads only */
	enum kind kind[WORDS];
	uint64_t entries[WORDS];
	uint64_t siblings;
	uint64_t retry;
};

static uint64_t bit(unsigned k)
{
	return UINT64_C(1) << k;
}

static uint64_t range(unsigned k, unsigned n)
{
	return UINT64_MAX >> (WORDS - n) << k;
}

static uint64_t entry_word(uint64_t entry)
{
	return entry << 1 | 1;
}

static uint64_t sibling_of(unsigned k)
{
	return (uint64_t)k << 2 | 2;
}

/* An entry of 1 << order pages in slot k. */
static void put(struct made *m, unsigned k, unsigned order, enum kind kind, uint64_t entry)
{
	uint64_t word = FOLIO + 64 * k;

	if (kind == NOTHING)
		return;
	if (kind == ENTRY)
		word = entry_word(entry);
	if (kind == ALLOCATED)
		m->never_written |= bit(k);
	for (unsigned i = 0; i < 1u << order; i++) {
		m->words[k + i] = i == 0 ? word : sibling_of(k);
		m->kind[k + i] = kind;
		m->entries[k + i] = entry + i;
		m->siblings |= i == 0 ? 0 : bit(k + i);
	}
}

static uint64_t pages_of(const struct made *m, enum kind kind)
{
	uint64_t pages = 0;

	for (unsigned k = 0; k < WORDS; k++)
		pages |= m->kind[k] == kind && !(m->retry >> k & 1) ? bit(k) : 0;
	return pages;
}

static void check(const struct made *m)
{
	uint64_t entries[WORDS], entry = pages_of(m, ENTRY);
	struct node node;

	node_sort(m->words, m->never_written, &node);
	assert_int_equal(node.folio, pages_of(m, WRITTEN) | pages_of(m, ALLOCATED));
	assert_int_equal(node.allocated, pages_of(m, ALLOCATED));
	assert_int_equal(node.entry, entry);
	assert_int_equal(node.sibling, m->siblings & ~m->retry);
	assert_int_equal(node.retry, m->retry);
	node_entries(m->words, &node, entries);
	assert_int_equal(node.entry, entry);
	assert_int_equal(node.retry, m->retry);
	for (unsigned k = 0; k < WORDS; k++)
		if (entry >> k & 1)
			assert_int_equal(entries[k], m->entries[k]);
}

/* One entry of every size at every place where it can lie; around it nothing, or small ones. */
static void test_one_entry(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= 6; order++)
		for (unsigned at = 0; at < WORDS; at += 1u << order)
			for (enum kind kind = WRITTEN; kind < KINDS; kind++)
				for (enum kind around = NOTHING; around < KINDS; around++) {
					struct made m = {0};

					for (unsigned k = 0; k < WORDS; k++)
						put(&m, k, 0, around, 1000 + 7 * k);
					m.never_written &= ~range(at, 1u << order);
					put(&m, at, order, kind, 5000);
					check(&m);
				}
}

/* Fills the 64 slots with entries of all sizes, as they can lie beside each other. */
static void make_random(struct random *random, struct made *m)
{
	uint64_t entry = random_below(random, 1000000);
	unsigned k = 0;

	*m = (struct made){0};
	while (k < WORDS) {
		unsigned order = (unsigned)random_below(random, 7);

		while (k & ((1u << order) - 1))
			order--;
		put(m, k, order, (enum kind)random_below(random, KINDS), entry);
		/* On, often without a gap, or to another swap: never the same slot twice. */
		entry += 1u << order;
		if (random_below(random, 3) == 0)
			entry += random_below(random, 500);
		k += 1u << order;
	}
}

static void test_mixed(void **state)
{
	struct random random = {.state = 21};
	struct made m;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		make_random(&random, &m);
		check(&m);
	}
}

/* What the walk puts in the place of a word, or finds there, when something changes. */
static void test_retry_words(void **state)
{
	static const uint64_t odd[] = {RETRY, ZERO, NODE, 63 << 2 | 2, 0x1002};
	struct random random = {.state = 22};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct made m = {0};

		for (unsigned k = 0; k < WORDS; k++)
			put(&m, k, 0, (enum kind)random_below(&random, KINDS), 100 + k);
		for (int n = 0; n < 8; n++) {
			unsigned k = (unsigned)random_below(&random, WORDS);

			m.words[k] = odd[random_below(&random, ARRAY_SIZE(odd))];
			m.retry |= bit(k);
		}
		check(&m);
	}
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct made m = {.retry = UINT64_MAX};

		for (unsigned k = 0; k < WORDS; k++)
			m.words[k] = odd[i];
		check(&m);
	}
}

/* The head of a large entry is caught in a change: its siblings say nothing. */
static void test_siblings_of_what_is_no_head(void **state)
{
	static const uint64_t heads[] = {0, RETRY, ZERO, NODE};

	(void)state;
	for (unsigned order = 1; order <= 6; order++)
		for (unsigned at = 0; at < WORDS; at += 1u << order)
			for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
				struct made m = {0};

				put(&m, at, order, WRITTEN, 0);
				m.words[at] = heads[i];
				m.retry = m.siblings | (heads[i] ? bit(at) : 0);
				if (!heads[i])
					m.kind[at] = NOTHING;
				check(&m);
			}
}

/* Siblings that do not follow on what they point to. */
static void test_stray_siblings(void **state)
{
	(void)state;
	for (unsigned k = 0; k < WORDS; k++)
		for (unsigned to = 0; to < 63; to++)
			for (unsigned n = 1; k + n <= WORDS; n++) {
				struct made m = {0};

				for (unsigned i = 0; i < WORDS; i++)
					put(&m, i, 0, i % 2 ? ENTRY : WRITTEN, 3 * i);
				for (unsigned i = k; i < k + n; i++) {
					m.words[i] = sibling_of(to);
					m.retry |= bit(i);
				}
				if (k > 0 && to == k - 1)
					continue;
				check(&m);
			}
}

/* The end of one entry and the beginning of another, in the place of the right ones. */
static void test_torn(void **state)
{
	struct random random = {.state = 23};

	(void)state;
	for (int i = 0; i < 100000; i++) {
		unsigned cut = (unsigned)random_below(&random, WORDS);
		uint64_t words[WORDS], entries[WORDS];
		struct made old, new;
		struct node node;

		make_random(&random, &old);
		make_random(&random, &new);
		memcpy(words, old.words, sizeof(words));
		memcpy(words + cut, new.words + cut, (WORDS - cut) * sizeof(*words));
		node_sort(words, 0, &node);
		node_entries(words, &node, entries);
		/* Each page is one thing, and no slot that holds something comes out as a hole. */
		assert_int_equal(node.folio & node.entry, 0);
		assert_int_equal((node.folio | node.entry) & node.retry, 0);
		for (unsigned k = 0; k < WORDS; k++)
			assert_int_equal((node.folio | node.entry | node.retry) >> k & 1,
					 words[k] != 0);
		/* Before the cut nothing is amiss but where the old state's copies end. */
		for (unsigned k = 0; k < cut; k++)
			if (old.kind[k] == WRITTEN)
				assert_true(node.folio >> k & 1);
	}
}

/*
 * A split puts the head's word into every piece, and then gives each its own in ascending order.
 * `done` have theirs.
 */
static void check_split(unsigned at, unsigned order, unsigned piece, unsigned done)
{
	uint64_t words[WORDS] = {0}, entries[WORDS];
	unsigned size = 1u << piece;
	struct node node;

	for (unsigned i = 0; i < 1u << order; i++)
		words[at + i] = i % size ? sibling_of(at + i / size * size)
					 : entry_word(4096 + (i < done * size ? i : 0));
	node_sort(words, 0, &node);
	node_entries(words, &node, entries);
	assert_int_equal(node.entry & node.retry, 0);
	for (unsigned i = 0; i < 1u << order; i++) {
		if (i >= size && i >= done * size)
			assert_true(node.retry >> (at + i) & 1);
		if (node.entry >> (at + i) & 1)
			assert_int_equal(entries[at + i], 4096 + i);
		else
			assert_true(node.retry >> (at + i) & 1);
	}
	if (done << piece == 1u << order)
		assert_int_equal(node.retry, 0);
}

static void test_splits(void **state)
{
	(void)state;
	for (unsigned order = 1; order <= 6; order++)
		for (unsigned at = 0; at < WORDS; at += 1u << order)
			for (unsigned piece = 0; piece < order; piece++)
				for (unsigned done = 1; done << piece <= 1u << order; done++)
					check_split(at, order, piece, done);
}

/* The same of an entry that began in an earlier node: here all pieces are wrong. */
static void test_splits_of_more_than_a_node(void **state)
{
	(void)state;
	for (unsigned piece = 0; piece < 6; piece++) {
		uint64_t words[WORDS], entries[WORDS];
		struct node node;

		for (unsigned k = 0; k < WORDS; k++)
			words[k] = k % (1u << piece) ? sibling_of(k & ~((1u << piece) - 1))
						     : entry_word(8192);
		node_sort(words, 0, &node);
		node_entries(words, &node, entries);
		assert_int_equal(node.retry, UINT64_MAX);
		assert_int_equal(node.entry, 0);
	}
}

/* A swap-in error puts the same word into every slot, and nothing is being split. */
static void test_poison(void **state)
{
	uint64_t poison = UINT64_C(27) << ENTRY_TYPE_SHIFT | 4;
	struct made m = {0};

	(void)state;
	for (unsigned k = 0; k < WORDS; k += 1 + k % 3) {
		put(&m, k, 0, ENTRY, poison);
		m.entries[k] = poison;
	}
	check(&m);
	for (unsigned k = 0; k < WORDS; k++)
		put(&m, k, 0, ENTRY, poison);
	check(&m);
}

/* All 64 pages in one entry, of which these are not the first ones perhaps. */
static void test_large(void **state)
{
	(void)state;
	for (uint64_t before = 0; before < 512; before += 64) {
		uint64_t entries[WORDS], after_first = before ? UINT64_MAX : UINT64_MAX - 1;
		struct node node;

		node_sort_large(FOLIO, before, false, &node);
		assert_int_equal(node.folio, UINT64_MAX);
		assert_int_equal(node.allocated | node.entry | node.retry, 0);
		assert_int_equal(node.sibling, after_first);
		node_sort_large(FOLIO, before, true, &node);
		assert_int_equal(node.folio & node.allocated, UINT64_MAX);
		node_sort_large(entry_word(512), before, false, &node);
		assert_int_equal(node.entry, UINT64_MAX);
		assert_int_equal(node.folio | node.retry, 0);
		assert_int_equal(node.sibling, after_first);
		assert_int_equal(node.any, entry_word(512));
		assert_int_equal(node.all, entry_word(512));
		node_entries_large(entry_word(512), before, entries);
		for (unsigned k = 0; k < WORDS; k++)
			assert_int_equal(entries[k], 512 + before + k);
		node_sort_large(RETRY, before, false, &node);
		assert_int_equal(node.retry, UINT64_MAX);
		assert_int_equal(node.folio | node.entry, 0);
	}
}

/* For every page every combination of facts: one page's do not touch another's. */
static enum page_state expected(unsigned facts)
{
	if (facts & 8)
		return PAGE_UNKNOWN; /* retry */
	switch (facts & 7) {
	case 0:
		return PAGE_HOLE;
	case 1:
		return PAGE_PRESENT;
	case 2:
		return PAGE_ALLOCATED;
	default: /* an entry */
		break;
	}
	if (facts & 64)
		return PAGE_UNKNOWN;
	if (facts & 32)
		return PAGE_POISONED;
	return facts & 16 ? PAGE_SWAP_CACHE : PAGE_SWAPPED;
}

static void test_states(void **state)
{
	struct random random = {.state = 24};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct node node = {0};
		struct node_swap swap = {0};
		struct state_block block;
		unsigned facts[WORDS];

		for (unsigned k = 0; k < WORDS; k++) {
			unsigned f = facts[k] = (unsigned)random_below(&random, 128);

			if (f & 8)
				node.retry |= bit(k);
			else if ((f & 7) == 1)
				node.folio |= bit(k);
			else if ((f & 7) == 2)
				node.folio |= bit(k), node.allocated |= bit(k);
			else if ((f & 7) > 2)
				node.entry |= bit(k);
			/* These may be set for pages that are no entries. */
			swap.cached |= f & 16 ? bit(k) : 0;
			swap.poison |= f & 32 ? bit(k) : 0;
			swap.unknown |= f & 64 ? bit(k) : 0;
		}
		node_states(&node, &swap, &block);
		for (unsigned k = 0; k < WORDS; k++) {
			unsigned got = 0;

			for (unsigned b = 0; b < STATE_PLANES; b++)
				got |= (unsigned)(block.plane[b] >> k & 1) << b;
			assert_int_equal(got, expected(facts[k]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_entry),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_retry_words),
		cmocka_unit_test(test_siblings_of_what_is_no_head),
		cmocka_unit_test(test_stray_siblings),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_splits_of_more_than_a_node),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
