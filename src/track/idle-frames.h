/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pages of an object and the frames of RAM that they are in, as idle.h needs them. No system calls.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/ranges.h"

struct idle_frame {
	uint64_t page;  /* of the object */
	uint64_t frame; /* where it is, or, once heads were found, the first page of its folio */
};

/* Owns items. All zero: empty. */
struct idle_frames {
	struct idle_frame *items;
	size_t n_items, n_allocated;
};

void idle_frames_done(struct idle_frames *f);

/* Returns 0 or -ENOMEM. */
int idle_frames_add(struct idle_frames *f, uint64_t page, uint64_t frame);

/* In order of pages, each of them once. */
void idle_frames_sort_by_page(struct idle_frames *f);
void idle_frames_sort_by_frame(struct idle_frames *f);

/* Keeps the pages that are in the same frame there. Both in order of pages. */
void idle_frames_keep_same(struct idle_frames *f, const struct idle_frames *there);

/* The pages, which are in order. Returns 0 or -ENOMEM. */
int idle_frames_to_ranges(const struct idle_frames *f, struct page_ranges *ret);

/* Bits of a word of /proc/kpageflags, by the kernel's Documentation/admin-guide/mm/pagemap.rst. */
#define FRAME_COMPOUND_HEAD (UINT64_C(1) << 15)
#define FRAME_COMPOUND_TAIL (UINT64_C(1) << 16)

#define FRAME_NONE UINT64_MAX

/* The head of the folio that goes on behind the frames that were looked at last. */
struct idle_heads {
	uint64_t next; /* the frame behind them */
	uint64_t head; /* FRAME_NONE: none goes on */
};

/*
 * Of n frames from `first` on the flags are known; `frames` are those of them that are asked for,
 * in order. Puts the folio's head in the place of each: the bitmap has a bit for that alone.
 * FRAME_NONE where it cannot be found. *h goes on from one call to the next.
 */
void idle_heads_find(struct idle_heads *h, const uint64_t *flags, uint64_t first, size_t n,
		     struct idle_frame *frames, size_t n_frames);

/* Drops those that have no head. */
void idle_frames_drop_headless(struct idle_frames *f);

/* A read or write of the kernel's bitmap is of a page at most. */
#define IDLE_WORDS 512

/* Words of the bitmap to read or write at once. */
struct idle_words {
	uint64_t first;
	size_t n;
	size_t from, to; /* the frames whose bits they have */
};

/* Those that come next, for frames in order. Returns false at the end. */
bool idle_words_next(const struct idle_frames *f, size_t *at, struct idle_words *ret);

/* The bits of the frames, and no others. words: w->n of them. */
void idle_words_fill(const struct idle_words *w, const struct idle_frames *f, uint64_t *words);

/* Appends to the first n_kept of the frames those whose bits are set. Returns how many there are.
 */
size_t idle_words_keep(const struct idle_words *w, struct idle_frames *f, size_t n_kept,
		       const uint64_t *words);
