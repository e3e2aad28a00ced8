/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * mincore(2) on a mapping of our own. The mapping is PROT_NONE and nobody ever touches it: it can
 * fault nothing in, and having no page table entries it blocks no page-out.
 */

#include <stddef.h>
#include <stdint.h>

/* A part of the object that is mapped right now. Starts all zero, with fd and page_size set. */
struct mincore_map {
	int fd; /* borrowed */
	uint64_t page_size;
	void *address;
	uint64_t first; /* pages of the object */
	uint64_t count;
};

void mincore_unmap(struct mincore_map *map);

/*
 * One byte a page into vec for [first, first + count): bit 0 is "in core". Moves the mapping where
 * it has to, in large steps. Returns 0 or a negative errno.
 */
int mincore_read(struct mincore_map *map, uint64_t first, size_t count, unsigned char *vec);

/*
 * Where the caller may not know residency, mincore answers "all resident" without a word. This asks
 * it about a page that nobody can have: far beyond the end. Returns 0 if it tells the truth, -EPERM
 * if it would lie, or another negative errno.
 */
int mincore_check(int fd, uint64_t page_size);
