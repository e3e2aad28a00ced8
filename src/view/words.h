/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process's pagemap as /proc/PID/pagemap would be if it told of swapped shared memory. */

#include "view/process_view.h"

/* Told of the words of n pages from page (of the address space) on. Negative stops. */
typedef int (*view_write)(void *context, uint64_t page, size_t n, const uint64_t *words);

/*
 * Hands out, by address, the words of all mappings of the view, as far as they lie in range; with
 * gaps also the kernel's own words of what lies between. Adds to *ret_unsure the pages of which it
 * could not be told whether they are swapped: their bit is not set. Returns 0 or a negative errno.
 */
int view_write_words(const struct process_view *v, struct page_range range, bool gaps,
		     view_write write, void *context, uint64_t *ret_unsure);
