/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "track/idle.h"
#include "util/util.h"

#define FRAMES 4096
#define RUNS 100

static void add(struct idle_frames *f, uint64_t page, uint64_t frame)
{
	assert_int_equal(idle_frames_add(f, page, frame), 0);
}

/* Each page once, in order, whoever was asked; only what is where it was stays. */
static void test_frames(void **state)
{
	struct idle_frames f = {0}, there = {0};
	struct page_ranges ranges;

	(void)state;
	add(&f, 9, 100);
	add(&f, 3, 70);
	add(&f, 4, 50);
	add(&f, 3, 70);
	add(&f, 5, 60);
	idle_frames_sort_by_page(&f);
	assert_int_equal(f.n_items, 4);
	add(&there, 3, 70);
	add(&there, 4, 50);
	add(&there, 5, 61);
	add(&there, 7, 60);
	add(&there, 9, 100);
	idle_frames_keep_same(&f, &there);
	assert_int_equal(f.n_items, 3);
	assert_int_equal(idle_frames_to_ranges(&f, &ranges), 0);
	assert_int_equal(ranges.n_items, 2);
	assert_int_equal(ranges.items[0].first, 3);
	assert_int_equal(ranges.items[0].count, 2);
	assert_int_equal(ranges.items[1].first, 9);
	page_ranges_done(&ranges);
	idle_frames_done(&there);
	idle_frames_keep_same(&f, &there);
	assert_int_equal(f.n_items, 0);
	idle_frames_done(&f);
}

static uint64_t head_of(const struct idle_frames *f, uint64_t page)
{
	for (size_t i = 0; i < f->n_items; i++)
		if (f->items[i].page == page)
			return f->items[i].frame;
	return 0;
}

static void test_heads(void **state)
{
	/* From frame 8 on: the end of a folio, two small ones, one of four, one that goes on. */
	const uint64_t first[] = {
		FRAME_COMPOUND_TAIL,
		FRAME_COMPOUND_TAIL,
		0,
		1,
		FRAME_COMPOUND_HEAD | 2,
		FRAME_COMPOUND_TAIL,
		FRAME_COMPOUND_TAIL,
		FRAME_COMPOUND_TAIL,
		FRAME_COMPOUND_HEAD,
		FRAME_COMPOUND_TAIL,
	};
	const uint64_t second[] = {FRAME_COMPOUND_TAIL, FRAME_COMPOUND_HEAD, 0,
				   FRAME_COMPOUND_TAIL};
	struct idle_heads h = {.head = FRAME_NONE};
	struct idle_frames f = {0};

	(void)state;
	for (uint64_t frame = 9; frame < 22; frame++)
		add(&f, frame, frame);
	add(&f, 30, 30);
	idle_heads_find(&h, first, 8, 10, f.items, 9);
	idle_heads_find(&h, second, 18, 4, f.items + 9, 4);
	/* What lies in between was not looked at. */
	idle_heads_find(&h, second, 30, 4, f.items + 13, 1);
	idle_frames_drop_headless(&f);
	assert_int_equal(f.n_items, 11);
	assert_int_equal(head_of(&f, 9), 0);
	assert_int_equal(head_of(&f, 10), 10);
	assert_int_equal(head_of(&f, 11), 11);
	for (uint64_t page = 12; page < 16; page++)
		assert_int_equal(head_of(&f, page), 12);
	for (uint64_t page = 16; page < 19; page++)
		assert_int_equal(head_of(&f, page), 16);
	assert_int_equal(head_of(&f, 19), 19);
	assert_int_equal(head_of(&f, 20), 20);
	assert_int_equal(head_of(&f, 21), 0);
	assert_int_equal(head_of(&f, 30), 0);
	idle_frames_done(&f);
}

/* A file in place of the kernel's. */
static int make_file(const void *content, size_t size)
{
	int fd = memfd_create("words", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), (ssize_t)size);
	return fd;
}

/* RAM made up: folios of any size, and pages of some that are asked for. */
static struct {
	uint64_t flags[FRAMES], heads[FRAMES];
	uint64_t bits[FRAMES / 64], expected[FRAMES / 64];
	bool asked[FRAMES];
} ram;

static void make_folios(void)
{
	for (size_t i = 0; i < FRAMES;) {
		size_t n = (size_t)1 << rand() % 10;

		n = i % n == 0 && rand() % 4 == 0 ? n : 1;
		for (size_t k = 0; k < n; k++) {
			ram.flags[i + k] = k ? FRAME_COMPOUND_TAIL : FRAME_COMPOUND_HEAD;
			ram.heads[i + k] = i;
		}
		if (n == 1)
			ram.flags[i] = 0;
		i += n;
	}
}

/* Pages are in any frames: in all, or in some that lie apart. */
static void ask_for_some(struct idle_frames *f)
{
	int spread = 1 << (rand() % 6 + 7);

	for (int n = rand() % 600; n > 0; n--)
		ram.asked[rand() % spread * (FRAMES / spread)] = true;
	for (uint64_t i = 0; i < FRAMES; i++) {
		uint64_t head = ram.heads[i];

		if (!ram.asked[i])
			continue;
		add(f, FRAMES - i, i);
		ram.expected[head / 64] |= UINT64_C(1) << head % 64;
	}
}

/* All pages whose folios' bits are set, in order; page N is in the N-th frame from the end. */
static void check_kept(const struct idle_frames *f)
{
	size_t k = 0;

	for (size_t i = FRAMES; i-- > 0;) {
		uint64_t head = ram.heads[i];

		if (!ram.asked[i] || !(ram.bits[head / 64] >> head % 64 & 1))
			continue;
		assert_true(k < f->n_items);
		assert_int_equal(f->items[k++].page, FRAMES - i);
	}
	assert_int_equal(k, f->n_items);
}

/* Just the heads are marked; of those that are not accessed, all that was asked for is told. */
static void test_mark_and_keep(void **state)
{
	(void)state;
	srand(5);
	for (int run = 0; run < RUNS; run++) {
		struct idle t = IDLE_CLOSED;
		struct idle_frames f = {0}, kept = {0};

		memset(&ram, 0, sizeof(ram));
		make_folios();
		ask_for_some(&f);
		for (size_t i = 0; i < f.n_items; i++)
			add(&kept, f.items[i].page, f.items[i].frame);
		t.bitmap_fd = make_file(ram.bits, sizeof(ram.bits));
		t.flags_fd = make_file(ram.flags, sizeof(ram.flags));
		assert_int_equal(idle_mark(&t, &f), 0);
		assert_int_equal(pread(t.bitmap_fd, ram.bits, sizeof(ram.bits), 0),
				 sizeof(ram.bits));
		assert_memory_equal(ram.bits, ram.expected, sizeof(ram.bits));
		for (size_t i = 0; i < FRAMES / 64; i += 3)
			ram.bits[i] = 0;
		assert_int_equal(pwrite(t.bitmap_fd, ram.bits, sizeof(ram.bits), 0),
				 sizeof(ram.bits));
		assert_int_equal(idle_keep(&t, &kept), 0);
		check_kept(&kept);
		idle_frames_done(&f);
		idle_frames_done(&kept);
		idle_close(&t);
	}
}

/* No more than a page at once, and not over wide gaps. */
static void test_words(void **state)
{
	struct idle_frames f = {0};
	struct idle_words w;
	size_t at = 0;

	(void)state;
	assert_false(idle_words_next(&f, &at, &w));
	add(&f, 0, 64 * 3 + 63);
	add(&f, 1, 64 * 6);
	for (uint64_t i = 0; i < 600; i++)
		add(&f, 2 + i, 64 * (1000 + i));
	assert_true(idle_words_next(&f, &at, &w));
	assert_true(w.first == 3 && w.n == 4 && w.from == 0 && w.to == 2);
	assert_true(idle_words_next(&f, &at, &w));
	assert_true(w.first == 1000 && w.n == IDLE_WORDS && w.to == 2 + IDLE_WORDS);
	assert_true(idle_words_next(&f, &at, &w));
	assert_true(w.first == 1000 + IDLE_WORDS && w.to == f.n_items);
	assert_false(idle_words_next(&f, &at, &w));
	idle_frames_done(&f);
}

/* Behind the end of the kernel's files there are no frames. */
static void test_short_files(void **state)
{
	const uint64_t none = 0;
	struct idle t = {.bitmap_fd = make_file(&none, sizeof(none)),
			 .flags_fd = make_file(&none, 0)};
	struct idle_frames f = {0};

	(void)state;
	add(&f, 1, 1);
	add(&f, 2, 100000);
	assert_int_equal(idle_keep(&t, &f), 0);
	assert_int_equal(f.n_items, 0);
	idle_frames_done(&f);
	idle_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),        cmocka_unit_test(test_heads),
		cmocka_unit_test(test_mark_and_keep), cmocka_unit_test(test_words),
		cmocka_unit_test(test_short_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
