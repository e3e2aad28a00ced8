/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Objects in states that take neither swap nor privilege to make: holes, pages that fallocate made,
 * and pages that were written. What was made is compared page by page with what the probe says.
 */

#include "unit.h"

#include "probe/probe.h"

/* Of this kernel; objects_setup() fills them in. */
extern struct kcaps caps;
extern uint64_t page_size;

int objects_setup(void **state);

/* A memfd of that many bytes. The caller closes it. */
int new_object(uint64_t size);
void write_page(int fd, uint64_t page);
void allocate(int fd, uint64_t first, uint64_t count, int mode);

/* A memfd with a page for each letter: . hole, a allocated, P present. */
int make(const char *letters);

/* The question for all of it. */
struct probe_request request_of(int fd, const struct kcaps *with);

/* What holds for every answer, whatever the object. */
void check_snapshot(const struct snapshot *s);

enum page_state state_of(const struct snapshot *s, uint64_t page); /* PAGE_STATE_MAX: not in it */
char letter_of(enum page_state state);

/* True if got is a right answer about a page that was made so, with what this kernel can tell. */
bool is_right(const struct kcaps *with, char made, char got);

/* Compares page by page; letters are those of the whole object. */
void compare(int fd, const struct snapshot *s, const struct kcaps *with, const char *letters);

/* How many pages of the object somebody else's hunger for memory has sent to swap. */
uint64_t pages_swapped(int fd);
