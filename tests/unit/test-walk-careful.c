/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The careful pass, on a kernel that is made up here: what each reading of the page cache finds,
 * and what is said of each swap entry, are written down beforehand. The real one cannot be stopped
 * between two readings.
 */

#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "probe/swap-contents.h"
#include "probe/swap-trial.h"
#include "probe/walk.h"

#define FOLIO(n) (UINT64_C(0xffffea0000000000) + 64 * (n))
#define ENTRY(n) ((uint64_t)(n) << 1 | 1)
#define RETRY WALK_RETRY_WORD

#define READINGS_MAX 8

/* The made-up kernel. One node, pages 0 to 63, of which the first few matter. */
static struct {
	uint64_t words[READINGS_MAX]
		      [WORDS]; /* that each reading finds; the last one again and again */
	unsigned n_readings;
	unsigned read;       /* how often it was read */
	unsigned locked;     /* that many readings, somebody holds the page cache's lock */
	uint64_t cached[2];  /* swap entries 0 to 63 that are in the swap cache: at first, then */
	uint64_t strange[2]; /* those of which the swap says what cannot be, likewise */
	unsigned asked;      /* how often the swap was asked */
	unsigned failing;    /* that many times, a swap goes away meanwhile */
	uint64_t known_from; /* refreshes until the swap is known */
	uint64_t refreshed;
	enum swap_way way;
	unsigned char in_core; /* what mincore says of every page */
} fake;

int walker_read(struct walker *w, const struct walker_place *place, struct walker_chunk *ret)
{
	static struct walk_record record;
	unsigned reading = MIN(fake.read, fake.n_readings - 1);
	uint64_t any = 0, locked = fake.read < fake.locked;

	(void)w;
	fake.read++;
	memcpy(record.slots, fake.words[reading], sizeof(record.slots));
	for (unsigned k = 0; k < WORDS; k++)
		any |= record.slots[k];
	*ret = (struct walker_chunk){
		.records = &record,
		.n_records = any != 0,
		.next = place->end,
		.before.locked = locked,
		.after.locked = locked,
	};
	return 0;
}

int swap_slots_refresh(struct swap_slots *s)
{
	fake.refreshed++;
	s->way = fake.way;
	return 0;
}

bool swap_slots_is_slot(const struct swap_slots *s, uint64_t entry)
{
	(void)s;
	return entry < 64 && fake.refreshed >= fake.known_from;
}

bool swap_slots_is_poison(const struct swap_slots *s, uint64_t entry)
{
	(void)s;
	return entry_type(entry) >= ENTRY_TYPE_SPECIAL;
}

bool swap_question_add(struct swap_slots *s, struct swap_question *q, uint64_t entry)
{
	(void)s;
	(void)entry;
	q->n_runs++;
	return true;
}

int swap_question_read(struct swap_slots *s, const struct swap_question *q)
{
	(void)s;
	(void)q;
	if (fake.failing > 0) {
		fake.failing--;
		return -EAGAIN;
	}
	fake.asked++;
	return 0;
}

enum unit_format swap_slots_format(const struct swap_slots *s)
{
	(void)s;
	return UNIT_BYTE;
}

uint64_t swap_answer_unit(const struct swap_slots *s, struct swap_answer *a, uint64_t entry)
{
	(void)s;
	(void)a;
	if (fake.strange[fake.asked > 1] >> entry & 1)
		return 0;
	return fake.cached[fake.asked > 1] >> entry & 1 ? 0xff : 0xbf;
}

int swap_trial(struct prober *p, int fd, uint64_t page)
{
	(void)fd;
	(void)page;
	p->slots.confirmed = true;
	return 0;
}

int swap_contents_read(struct swap_slots *s, const struct swap_question *q)
{
	return swap_question_read(s, q);
}

/* Entries in zswap are told by their number. */
uint8_t swap_contents_of(const struct swap_slots *s, struct swap_answer *a, uint64_t entry)
{
	uint8_t cached = swap_answer_unit(s, a, entry) & 0x40 ? SWAP_SLOT_CACHED : 0;

	return entry >= 32 ? SWAP_SLOT_ZSWAP | cached : cached;
}

int mincore_read(struct mincore_map *map, uint64_t first, size_t count, unsigned char *vec)
{
	(void)map;
	(void)first;
	memset(vec, fake.in_core, count);
	return 0;
}

int mincore_check(int fd, uint64_t page_size)
{
	(void)fd;
	(void)page_size;
	return 0;
}

void mincore_unmap(struct mincore_map *map)
{
	(void)map;
}

/* ---- */

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.way = SWAP_WAY_MAP;
	return 0;
}

/* What the next reading finds in slots 0, 1 ...; the rest is empty. */
static void finds(const uint64_t *words, size_t n)
{
	memcpy(fake.words[fake.n_readings++], words, n * sizeof(*words));
}

#define FINDS(...)                             \
	finds((const uint64_t[]){__VA_ARGS__}, \
	      sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

struct result {
	char letters[WORDS + 1];
	uint64_t moved;
};

static int visit(void *context, const struct walk_block *block)
{
	struct result *result = context;
	struct state_block planes;

	assert_int_equal(block->first, 0);
	node_states(&block->node, &block->swap, &planes);
	for (unsigned k = 0; k < WORDS; k++) {
		unsigned state = 0;

		for (unsigned b = 0; b < STATE_PLANES; b++)
			state |= (unsigned)(planes.plane[b] >> k & 1) << b;
		result->letters[k] = ".aPCSXc?"[state];
	}
	return 0;
}

/* The first pages come out as these letters; the others are holes. */
static void check(const char *letters, uint64_t moved)
{
	struct kcaps caps = {.page_size = 4096};
	struct prober p = {.caps = &caps};
	struct walk_range range = {.fd = -1, .end = WORDS};
	struct result result = {.letters = ""};

	memset(result.letters, '.', WORDS);
	assert_int_equal(walk_careful(&p, &range, visit, &result), 0);
	for (size_t k = strlen(letters); k < WORDS; k++)
		assert_int_equal(result.letters[k], '.');
	result.letters[strlen(letters)] = '\0';
	assert_string_equal(result.letters, letters);
	assert_int_equal(range.moved, moved);
}

static void test_still(void **state)
{
	(void)state;
	fake.cached[0] = 1 << 5;
	FINDS(FOLIO(0), 0, ENTRY(4), ENTRY(5), ENTRY(6));
	check("P.SCS", 0);
	assert_int_equal(fake.read, 2);
	assert_int_equal(fake.asked, 1);
}

/* The second reading counts. */
static void test_swapped_in_between(void **state)
{
	(void)state;
	fake.cached[0] = fake.cached[1] = 1 << 4;
	FINDS(ENTRY(4), ENTRY(5), ENTRY(6), FOLIO(1), 0);
	FINDS(FOLIO(0), ENTRY(5), 0, 0, FOLIO(2));
	check("PS..P", 4);
	assert_int_equal(fake.read, 2);
}

/* What was said of one entry does not hold for another. */
static void test_another_entry(void **state)
{
	(void)state;
	fake.cached[0] = 1 << 4;
	fake.cached[1] = 1 << 8;
	FINDS(ENTRY(4), ENTRY(5), 0);
	FINDS(ENTRY(7), ENTRY(8), ENTRY(9));
	check("SCS", 3);
	assert_true(fake.asked > 1);
}

static void test_swapped_out_between(void **state)
{
	(void)state;
	fake.cached[0] = 1 << 4;
	FINDS(FOLIO(0), FOLIO(1));
	FINDS(ENTRY(4), ENTRY(5));
	check("CS", 2);
}

static void test_all_emptied(void **state)
{
	(void)state;
	FINDS(FOLIO(0), ENTRY(5));
	FINDS(0);
	check("..", 2);
}

/* A word that says that something is changing is read again. */
static void test_retry(void **state)
{
	(void)state;
	FINDS(RETRY, FOLIO(1));
	FINDS(RETRY, FOLIO(1));
	FINDS(FOLIO(0), FOLIO(1));
	check("PP", 0);
}

/* But not for ever. */
static void test_retry_for_ever(void **state)
{
	(void)state;
	FINDS(RETRY, FOLIO(1), ENTRY(2));
	check("?PS", 0);
	assert_true(fake.read > 4);
	assert_true(fake.read < 100);
}

/* An entry that is another one whenever it is looked at. */
static void test_never_at_rest(void **state)
{
	(void)state;
	for (unsigned i = 0; i < READINGS_MAX; i++)
		FINDS(ENTRY(i), FOLIO(1));
	check("SP", 1);
	assert_true(fake.read > READINGS_MAX);
}

static void test_swap_goes_away(void **state)
{
	(void)state;
	fake.failing = 1;
	fake.cached[0] = 1 << 4;
	FINDS(ENTRY(4), FOLIO(1), ENTRY(5));
	check("CPS", 0);
}

static void test_swap_keeps_going_away(void **state)
{
	(void)state;
	fake.failing = 1000;
	FINDS(ENTRY(4), FOLIO(1), 0);
	check("?P.", 0);
}

/* A swap that came on after the first refresh. */
static void test_new_swap(void **state)
{
	(void)state;
	fake.known_from = 3;
	FINDS(ENTRY(4), FOLIO(1));
	check("SP", 0);
	setup(NULL);
	fake.known_from = 1000;
	FINDS(ENTRY(4), FOLIO(1));
	check("?P", 0);
}

/* What is said of an entry cannot be: it is asked about again, but not for ever. */
static void test_strange(void **state)
{
	(void)state;
	fake.strange[0] = 1 << 4 | 1 << 6;
	fake.cached[1] = 1 << 4;
	FINDS(ENTRY(4), ENTRY(5), ENTRY(6));
	check("CSS", 0);
	setup(NULL);
	fake.strange[0] = fake.strange[1] = 1 << 5;
	FINDS(ENTRY(4), ENTRY(5), ENTRY(6));
	check("S?S", 0);
}

static void test_poison(void **state)
{
	uint64_t poison = ENTRY(UINT64_C(27) << ENTRY_TYPE_SHIFT);

	(void)state;
	fake.cached[0] = UINT64_MAX;
	FINDS(poison, poison, ENTRY(3), poison);
	check("XXCX", 0);
}

/* While an entry is split its last piece has, for a moment, the number of the first, far off. */
static void test_split(void **state)
{
	(void)state;
	fake.cached[0] = fake.cached[1] = 1 << 4;
	fake.locked = 3;
	FINDS(ENTRY(9), ENTRY(10), ENTRY(4));
	FINDS(ENTRY(9), ENTRY(10), ENTRY(4));
	FINDS(ENTRY(9), ENTRY(10), ENTRY(4));
	FINDS(ENTRY(9), ENTRY(10), ENTRY(11));
	check("SSS", 1);
}

/* A lock that is never seen free makes nothing certain. */
static void test_locked_for_ever(void **state)
{
	(void)state;
	fake.locked = UINT_MAX;
	FINDS(ENTRY(4), FOLIO(1));
	check("?P", 0);
}

static int visit_contents(void *context, const struct walk_block *block)
{
	struct walk_block *ret = context;

	*ret = *block;
	return 0;
}

/* What was said of one entry does not hold for another. */
static void test_contents(void **state)
{
	struct kcaps caps = {.page_size = 4096};
	struct prober p = {.caps = &caps};
	struct walk_range range = {.fd = -1, .end = WORDS, .contents = true};
	struct walk_block block;

	(void)state;
	fake.cached[0] = fake.cached[1] = UINT64_C(1) << 33;
	FINDS(ENTRY(4), ENTRY(40), ENTRY(33));
	FINDS(ENTRY(41), ENTRY(40), ENTRY(33));
	assert_int_equal(walk_careful(&p, &range, visit_contents, &block), 0);
	assert_int_equal(block.node.entry, 7);
	assert_int_equal(block.entries[0], 41);
	assert_int_equal(block.contents[0], SWAP_SLOT_ZSWAP);
	assert_int_equal(block.contents[1], SWAP_SLOT_ZSWAP);
	assert_int_equal(block.contents[2], SWAP_SLOT_ZSWAP | SWAP_SLOT_CACHED);
	assert_int_equal(block.swap.cached, 4);
}

/* Without swap_info mincore is asked; of a page within a large entry it knows nothing. */
static void test_mincore(void **state)
{
	uint64_t sibling = 4 << 2 | 2;

	(void)state;
	fake.way = SWAP_WAY_NONE;
	FINDS(ENTRY(1), 0, FOLIO(2), 0, ENTRY(4), sibling, sibling, sibling);
	check("S.P.S???", 0);
	setup(NULL);
	fake.way = SWAP_WAY_NONE;
	fake.in_core = 1;
	FINDS(ENTRY(1), 0, FOLIO(2), 0, ENTRY(4), sibling, sibling, sibling);
	check("C.P.C???", 0);
	assert_int_equal(fake.asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_still, setup),
		cmocka_unit_test_setup(test_swapped_in_between, setup),
		cmocka_unit_test_setup(test_another_entry, setup),
		cmocka_unit_test_setup(test_swapped_out_between, setup),
		cmocka_unit_test_setup(test_all_emptied, setup),
		cmocka_unit_test_setup(test_retry, setup),
		cmocka_unit_test_setup(test_retry_for_ever, setup),
		cmocka_unit_test_setup(test_never_at_rest, setup),
		cmocka_unit_test_setup(test_swap_goes_away, setup),
		cmocka_unit_test_setup(test_swap_keeps_going_away, setup),
		cmocka_unit_test_setup(test_new_swap, setup),
		cmocka_unit_test_setup(test_strange, setup),
		cmocka_unit_test_setup(test_poison, setup),
		cmocka_unit_test_setup(test_mincore, setup),
		cmocka_unit_test_setup(test_split, setup),
		cmocka_unit_test_setup(test_locked_for_ever, setup),
		cmocka_unit_test_setup(test_contents, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
