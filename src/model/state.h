/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The states of a page of a shared memory object. No system calls in this folder. */

#include <stdint.h>

enum page_state {
	PAGE_HOLE,       /* nothing there: reads as zeros, costs nothing */
	PAGE_ALLOCATED,  /* a folio made by fallocate, never written: reads as zeros */
	PAGE_PRESENT,    /* a folio in the page cache, with data */
	PAGE_SWAP_CACHE, /* a swap entry whose folio is (still or again) in RAM */
	PAGE_SWAPPED,    /* a swap entry, content on the swap device only */
	PAGE_POISONED,   /* content lost by a failed swap-in: access gives SIGBUS */
	PAGE_IN_CORE,    /* present or swap_cache: this kernel gives no way to tell */
	PAGE_UNKNOWN,    /* could not be determined; the answer says why */
	PAGE_STATE_MAX,
};

/* A set of states: bit (1 << state). */
typedef uint32_t page_state_mask;

#define PAGE_STATE_BIT(s) ((page_state_mask)1 << (s))

/* The name as printed and as accepted; never NULL for a valid state. */
const char *page_state_to_string(enum page_state state);

/* Returns the state, or -EINVAL. */
int page_state_from_string(const char *s);

/* "swapped,swap_cache" -> mask. Returns 0 or -EINVAL; then *ret_bad points at the unknown name. */
int page_state_mask_parse(const char *s, page_state_mask *ret, const char **ret_bad);
