/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "classify/units.h"

#include "bpf/swap.h"

/* The mark says that it is the map of which we know the bit; without the mark, in 7.0, it is not.
 */
static enum unit tell_byte(uint64_t byte)
{
	if (byte == SWAP_MAP_SHMEM)
		return UNIT_SWAPPED;
	return byte == (SWAP_MAP_SHMEM | SWAP_MAP_HAS_CACHE) ? UNIT_CACHED : UNIT_STRANGE;
}

/* Nothing, the shadow of a folio that has left, or a folio's address. */
static enum unit tell_word(uint64_t word)
{
	if (word == 0 || (word & 1))
		return UNIT_SWAPPED;
	return (word & 7) == 0 && (int64_t)word < 0 && word != SWAP_TABLE_BAD ? UNIT_CACHED
									      : UNIT_STRANGE;
}

/* The page cache refers to it, once. A shadow (or none), or the number of a folio's page. */
static enum unit tell_counted_word(uint64_t word)
{
	if (word >> SWAP_TABLE_COUNT_SHIFT != 1)
		return UNIT_STRANGE;
	if (word & 1)
		return UNIT_SWAPPED;
	return word & 2 ? UNIT_CACHED : UNIT_STRANGE;
}

enum unit unit_tell(enum unit_format format, uint64_t unit)
{
	switch (format) {
	case UNIT_BYTE:
		return tell_byte(unit);
	case UNIT_WORD:
		return tell_word(unit);
	case UNIT_COUNTED_WORD:
		return tell_counted_word(unit);
	}
	return UNIT_STRANGE;
}

bool unit_is_header(enum unit_format format, uint64_t unit)
{
	switch (format) {
	case UNIT_BYTE:
		return unit == SWAP_MAP_BAD;
	case UNIT_WORD:
		return unit == 0 || unit == SWAP_TABLE_BAD; /* the map says it */
	case UNIT_COUNTED_WORD:
		return unit == SWAP_TABLE_BAD;
	}
	return false;
}

bool word_may_be_cached(uint64_t word)
{
	return word != 0 && !(word & 1) && word != SWAP_TABLE_BAD;
}
