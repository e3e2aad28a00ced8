/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer to "where in the swap is each page?". No system calls. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_TYPES 32 /* 5 bits of a swap entry say in which swap it lies */

/* Where the content of a page that has a slot is. */
enum slot_content {
	SLOT_DEVICE,  /* at its offset on the device or in the file */
	SLOT_ZERO,    /* nowhere: all zeros, and the device was not written */
	SLOT_ZSWAP,   /* in zswap; what the device holds there is something else */
	SLOT_UNKNOWN, /* it cannot be told which of these; or in RAM, and the slot is out of date */
	SLOT_CONTENT_MAX,
};

const char *slot_content_to_string(enum slot_content content);

/* Is its folio in the swap cache? Then the page is in RAM too, and will be read from there. */
enum slot_cached {
	SLOT_NOT_CACHED,
	SLOT_CACHED,
	SLOT_CACHED_UNKNOWN,
};

/* Pages that follow each other, in slots that follow each other. */
struct slot_extent {
	uint64_t first; /* pages of the object */
	uint64_t count;
	uint64_t offset; /* slot of the first; times the page size: where on the device, in the file
			  */
	unsigned type;
	enum slot_content content;
	enum slot_cached cached;
};

/* The swap of a type. */
struct slot_swap {
	bool in_use;
	bool is_file; /* else a block device */
	char *path;   /* NULL: none of the names in /proc/swaps leads to it */
};

/* Owns items and paths. An all-zero map is an empty one. */
struct slot_map {
	uint64_t page_size; /* bytes */
	uint64_t size;      /* of the object, bytes */
	uint64_t first;     /* pages: what was asked for, cropped to the object */
	uint64_t count;
	struct slot_extent *items; /* in the order of pages; what no item covers has no slot */
	size_t n_items, n_allocated;
	uint64_t counts[SLOT_CONTENT_MAX]; /* pages */
	uint64_t cached;                   /* pages of these in the swap cache */
	uint64_t unlocated;                /* pages that changed each time they were read */
	uint64_t moved;                    /* pages that changed while they were looked up */
	struct slot_swap swaps[SLOT_TYPES];
};

void slot_map_done(struct slot_map *map);

/*
 * Adds pages behind all others. They join the last extent if they follow on in every respect.
 * Returns 0, -ENOMEM, or -EINVAL when they do not lie behind.
 */
int slot_map_append(struct slot_map *map, const struct slot_extent *extent);

/* Pages whose content was said to be `from` are `to` after all. */
void slot_map_replace(struct slot_map *map, enum slot_content from, enum slot_content to);

/* The first extent that ends behind the page, or NULL: it holds the page, or lies beyond. */
const struct slot_extent *slot_map_seek(const struct slot_map *map, uint64_t page);

/* Pages that have a slot. */
uint64_t slot_map_located(const struct slot_map *map);
