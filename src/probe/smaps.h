/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many swap entries an object holds, out of /proc/self/smaps of a mapping of our own, that is
 * made for the question and gone after it. The kernel keeps the number for a whole object (it
 * leaves out poison), and counts the slots for a part of one (that counts poison too).
 */

#include <stdint.h>

/* Swap entries of the whole object, O(1). pages: all of the object's. Returns 0 or a negative
 * errno. */
int smaps_swapped(int fd, uint64_t page_size, uint64_t pages, uint64_t *ret);

/*
 * Swap entries and poisoned entries of pages [0, end), by looking at every slot (about 13 ns an
 * entry). It takes two mappings, since only one of less than the whole object makes the kernel
 * look: border (0 < border < end, inside the object) is where to cut. Neither border nor end may
 * cut a large folio's entry in two; end may lie beyond the object. Returns 0 or a negative errno.
 * If the object holds no swap entry at all the kernel does not look, and poison is not counted
 * either: the answer is 0.
 */
int smaps_count_entries(int fd, uint64_t page_size, uint64_t border, uint64_t end, uint64_t *ret);

/*
 * The same for a part of the object. An entry of several pages that reaches in from outside counts
 * in full: 0 is exact anywhere, any other number only if the part cuts no entry. Returns 0,
 * -EOPNOTSUPP (the part is the whole object), or another negative errno.
 */
int smaps_count_part(int fd, uint64_t page_size, uint64_t pages, uint64_t first, uint64_t count,
		     uint64_t *ret);
