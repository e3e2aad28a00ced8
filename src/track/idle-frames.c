/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "track/idle-frames.h"
#include "util/array.h"
#include "util/util.h"

#define BITS 64

/*
 * So many words that are asked for by nobody are read or written along rather than begin anew: a
 * bit that is not set costs a write nothing, and a read some 10 ns, of which a system call takes
 * dozens.
 */
#define GAP 4

void idle_frames_done(struct idle_frames *f)
{
	free(f->items);
	*f = (struct idle_frames){0};
}

int idle_frames_add(struct idle_frames *f, uint64_t page, uint64_t frame)
{
	if (ARRAY_RESERVE(&f->items, &f->n_allocated, f->n_items) < 0)
		return -ENOMEM;
	f->items[f->n_items++] = (struct idle_frame){page, frame};
	return 0;
}

static int compare_pages(const void *a, const void *b)
{
	uint64_t x = ((const struct idle_frame *)a)->page;
	uint64_t y = ((const struct idle_frame *)b)->page;

	return (x > y) - (x < y);
}

static int compare_frames(const void *a, const void *b)
{
	uint64_t x = ((const struct idle_frame *)a)->frame;
	uint64_t y = ((const struct idle_frame *)b)->frame;

	return (x > y) - (x < y);
}

void idle_frames_sort_by_page(struct idle_frames *f)
{
	size_t n = 0;

	if (f->n_items > 0)
		qsort(f->items, f->n_items, sizeof(*f->items), compare_pages);
	for (size_t i = 0; i < f->n_items; i++)
		if (n == 0 || f->items[n - 1].page != f->items[i].page)
			f->items[n++] = f->items[i];
	f->n_items = n;
}

void idle_frames_sort_by_frame(struct idle_frames *f)
{
	if (f->n_items > 0)
		qsort(f->items, f->n_items, sizeof(*f->items), compare_frames);
}

void idle_frames_keep_same(struct idle_frames *f, const struct idle_frames *there)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < f->n_items; i++) {
		while (k < there->n_items && there->items[k].page < f->items[i].page)
			k++;
		if (k < there->n_items && there->items[k].page == f->items[i].page &&
		    there->items[k].frame == f->items[i].frame)
			f->items[n++] = f->items[i];
	}
	f->n_items = n;
}

int idle_frames_to_ranges(const struct idle_frames *f, struct page_ranges *ret)
{
	struct page_ranges ranges = {0};

	for (size_t i = 0; i < f->n_items; i++) {
		struct page_range *last =
			ranges.n_items > 0 ? &ranges.items[ranges.n_items - 1] : NULL;

		if (last && last->first + last->count == f->items[i].page) {
			last->count++;
		} else if (page_ranges_add(&ranges, f->items[i].page, 1) < 0) {
			page_ranges_done(&ranges);
			return -ENOMEM;
		}
	}
	*ret = ranges;
	return 0;
}

void idle_heads_find(struct idle_heads *h, const uint64_t *flags, uint64_t first, size_t n,
		     struct idle_frame *frames, size_t n_frames)
{
	size_t k = 0;

	if (h->next != first)
		h->head = FRAME_NONE;
	for (size_t i = 0; i < n; i++) {
		uint64_t frame = first + i, head = frame;

		if (flags[i] & FRAME_COMPOUND_HEAD)
			h->head = frame;
		else if (!(flags[i] & FRAME_COMPOUND_TAIL))
			h->head = FRAME_NONE;
		if (flags[i] & FRAME_COMPOUND_TAIL)
			head = h->head;
		/* Several may be in one: another object's page was there when this was told. */
		for (; k < n_frames && frames[k].frame == frame; k++)
			frames[k].frame = head;
	}
	h->next = first + n;
}

void idle_frames_drop_headless(struct idle_frames *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_items; i++)
		if (f->items[i].frame != FRAME_NONE)
			f->items[n++] = f->items[i];
	f->n_items = n;
}

bool idle_words_next(const struct idle_frames *f, size_t *at, struct idle_words *ret)
{
	size_t i = *at;
	uint64_t first, end;

	if (i == f->n_items)
		return false;
	first = f->items[i].frame / BITS;
	end = first + 1;
	for (; i < f->n_items; i++) {
		uint64_t word = f->items[i].frame / BITS;

		if (word >= end + GAP || word >= first + IDLE_WORDS)
			break;
		end = word + 1;
	}
	*ret = (struct idle_words){.first = first, .n = end - first, .from = *at, .to = i};
	*at = i;
	return true;
}

void idle_words_fill(const struct idle_words *w, const struct idle_frames *f, uint64_t *words)
{
	memset(words, 0, w->n * sizeof(*words));
	for (size_t i = w->from; i < w->to; i++) {
		uint64_t frame = f->items[i].frame;

		words[frame / BITS - w->first] |= UINT64_C(1) << frame % BITS;
	}
}

size_t idle_words_keep(const struct idle_words *w, struct idle_frames *f, size_t n_kept,
		       const uint64_t *words)
{
	for (size_t i = w->from; i < w->to; i++) {
		uint64_t frame = f->items[i].frame;

		if (words[frame / BITS - w->first] >> frame % BITS & 1)
			f->items[n_kept++] = f->items[i];
	}
	return n_kept;
}
