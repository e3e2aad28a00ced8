/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the content of swap slots is, as BPF (bpf/contents.bpf.c) reads it: bits of enum
 * swap_slot_bits. The rest is as in swap-slots.h: add slots to a question, read, go over the
 * answer.
 */

#include "probe/swap-slots.h"

/*
 * Finds out where zswap keeps what it has, if that is not known yet. Returns 0 (also if it cannot
 * be found: the answers then have SWAP_SLOT_ZSWAP_OPEN) or a negative errno.
 */
int swap_contents_prepare(struct swap_slots *s);

/* Reads all that was added. Returns 0 or a negative errno. */
int swap_contents_read(struct swap_slots *s, const struct swap_question *q);

/* To be asked in the order in which the slots were added. */
uint8_t swap_contents_of(const struct swap_slots *s, struct swap_answer *a, uint64_t entry);

/*
 * Whether zswap holds any page of the system, as far as the kernel counts them: 0, 1 or a negative
 * errno.
 */
int zswap_holds_any(void);
