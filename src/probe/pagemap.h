/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* /proc/PID/pagemap: what one process has in its page table. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/parse.h"

/* Bits of a word, as the kernel's Documentation/admin-guide/mm/pagemap.rst has them. */
#define PAGEMAP_FRAME_MASK ((UINT64_C(1) << 55) - 1) /* frame, or swap type and offset, */
#define PAGEMAP_OFFSET_SHIFT 5                       /* which begins here */
#define PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define PAGEMAP_UFFD_WP (UINT64_C(1) << 57)
#define PAGEMAP_GUARD (UINT64_C(1) << 58)
#define PAGEMAP_FILE (UINT64_C(1) << 61)
#define PAGEMAP_SWAP (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

/* The file of a process; the caller closes it. Returns a descriptor or a negative errno. */
int pagemap_open(pid_t pid);

/*
 * The words of count pages from page (of the address space) on. Beyond the end of the address space
 * they are 0. Returns 0 or a negative errno (-ESRCH: the process has gone).
 */
int pagemap_read(int fd, uint64_t page, size_t count, uint64_t *words);

/*
 * Which pages from `page` to before `end` (of the address space) the page table has as huge ones:
 * as runs, in order, of which `runs` takes so many. *ret_next is where to go on. Returns how many
 * there are, or a negative errno (-ENOTTY: this kernel does not tell; it does since Linux 6.7).
 */
int pagemap_find_huge(int fd, uint64_t page_size, uint64_t page, uint64_t end,
		      struct page_range *runs, size_t n_runs, uint64_t *ret_next);

/* A folio of the object's page cache is mapped here. */
static inline bool pagemap_is_file_page(uint64_t word)
{
	return (word & PAGEMAP_PRESENT) && (word & PAGEMAP_FILE);
}

/* What a word says of a page that the process owns itself, in a private mapping. */
enum pagemap_private {
	PRIVATE_NONE,    /* not its own: see the object */
	PRIVATE_PRESENT, /* its own copy, in RAM */
	PRIVATE_SWAPPED, /* its own copy, in swap */
	PRIVATE_UNKNOWN, /* neither can be told */
};

enum pagemap_private pagemap_classify_private(uint64_t word);
