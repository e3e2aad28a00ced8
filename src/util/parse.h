/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What people type: numbers, sizes, page ranges. Every function takes the whole string or refuses
 * it (-EINVAL; -ERANGE where it is well-formed but too large): no sign, no blanks, nothing behind.
 */

#include <stdbool.h>
#include <stdint.h>

/* A run of pages: first, and how many. */
struct page_range {
	uint64_t first;
	uint64_t count;
};

int parse_u64(const char *s, int base, uint64_t *ret);

/* A process or descriptor number, 0 or more (min says which), that fits an int. */
int parse_int(const char *s, int min, int *ret);

/* A number of bytes; K, M, G or T behind it stands for a power of 1024. */
int parse_bytes(const char *s, uint64_t *ret);

/*
 * FIRST+COUNT or FIRST-LAST (both ends included), in pages; a number with K, M, G or T behind it
 * is an offset or length in bytes (powers of 1024): FIRST is then the page that holds that byte,
 * COUNT is rounded up to pages, LAST is the page that holds that byte.
 */
int parse_page_range(const char *s, uint64_t page_size, struct page_range *ret);

/*
 * A length of time: a number, of seconds unless ms, s, min, h or d follows. Returns 0, or -EINVAL
 * (or it is too long for ret, which is in milliseconds).
 */
int parse_time(const char *s, uint64_t *ret_ms);

/*
 * START-END as in /proc/PID/maps (hexadecimal, 0x optional, END not included), or START+LENGTH with
 * LENGTH in pages (decimal) or in bytes with K, M, G, T. Both ends must lie on a page boundary.
 * Result in pages of the address space.
 */
int parse_address_range(const char *s, uint64_t page_size, struct page_range *ret);
