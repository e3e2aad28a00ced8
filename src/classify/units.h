/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the kernel keeps about a slot that an entry in the page cache refers to: is its folio in the
 * swap cache? Pure.
 *
 * The formats are macros, which no BTF confirms. So a unit is believed only if all of it is as we
 * know it of such a slot, the count of references among the rest; and a kernel only if, besides, it
 * says of the first slot what it should, and agrees with mincore (probe/swap-trial.c).
 */

#include <stdbool.h>
#include <stdint.h>

enum unit_format {
	UNIT_BYTE,         /* of swap_map, until 6.19 */
	UNIT_WORD,         /* of a table, with a swap_map beside it that counts: 6.18 to 7.0 */
	UNIT_COUNTED_WORD, /* of a table that is all there is, from 7.1 on */
};

enum unit {
	UNIT_SWAPPED,
	UNIT_CACHED,
	UNIT_STRANGE, /* not in use (then the entry is no more), or not as we know it */
};

enum unit unit_tell(enum unit_format format, uint64_t unit);

/* May this be what is said of a swap's first slot, which holds the header? */
bool unit_is_header(enum unit_format format, uint64_t unit);

/* Of any slot's word in a table, also one that is not in use: true in doubt. */
bool word_may_be_cached(uint64_t word);
