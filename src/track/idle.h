/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which pages of an object were not accessed for a while, by the kernel's idle page bitmap
 * (Documentation/admin-guide/mm/idle_page_tracking.rst): the bits of the frames that they are in
 * are set, and the kernel clears those of frames that are accessed.
 *
 * A page that nobody has in his page table is in a frame that cannot be told, and so is left out.
 */

#include "model/object.h"
#include "track/idle-frames.h"
#include "util/parse.h"

/* Why the bitmap cannot be used, or not be believed. */
enum idle_obstacle {
	IDLE_NO_OBSTACLE,
	IDLE_NO_BITMAP,
	IDLE_NO_PRIVILEGE,
	IDLE_LRU_GEN,
	IDLE_DAMON,
};

/* For a person. NULL: there is none. */
const char *idle_obstacle_to_string(enum idle_obstacle obstacle);

/* The first that there is, by looking; it may come and go. */
enum idle_obstacle idle_find_obstacle(void);

/* Does this kernel have the bitmap at all? */
bool idle_is_offered(void);

struct idle {
	int bitmap_fd;
	int flags_fd; /* /proc/kpageflags */
};

#define IDLE_CLOSED ((struct idle){.bitmap_fd = -1, .flags_fd = -1})

/* Returns 0 or a negative errno. */
int idle_open(struct idle *ret);
void idle_close(struct idle *t);

/* Whose pages. Borrowed. */
struct idle_target {
	struct object_id id;
	uint64_t page_size;
	struct page_range range;
	const pid_t *pids; /* who maps it; who has gone by then does not matter */
	size_t n_pids;
};

/*
 * The frames of those of its pages that one of the processes has in its page table, in order of
 * pages. Returns 0, -EPERM (the kernel does not tell us), or another negative errno.
 */
int idle_collect(const struct idle_target *target, struct idle_frames *ret);

/*
 * Has the bits of their folios set. Leaves heads in the place of frames, in order. Returns 0 or a
 * negative errno.
 */
int idle_mark(const struct idle *t, struct idle_frames *f);

/*
 * Keeps those whose bit is still set, in order of pages; heads stand in the place of frames.
 * Returns 0 or a negative errno.
 */
int idle_keep(const struct idle *t, struct idle_frames *f);

/* Marks the pages of the target: *ret is where they are. Returns 0 or a negative errno. */
int idle_begin(const struct idle *t, const struct idle_target *target, struct idle_frames *ret);

/*
 * Which of the marked pages have been in their frames since, and which of these were not accessed.
 * Uses *marked up. Returns 0 or a negative errno.
 */
int idle_end(const struct idle *t, const struct idle_target *target, struct idle_frames *marked,
	     struct page_ranges *ret_watched, struct page_ranges *ret_idle);

/*
 * The kernel marks a page in page tables, and leaves it to processors to notice: one that uses a
 * page all the time, and so never drops what it has read of the page table, does not. So the CPUs
 * that we may run on are given other processes for a moment, of which each has an address space of
 * its own, until they have to drop what they had. Where they have room for more (arm64, the address
 * spaces of guests) that is in vain.
 */
void idle_forget_translations(void);
