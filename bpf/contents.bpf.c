/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * Where the content of swap slots is: on the device, nowhere (all zeros), in zswap, or on its way
 * between these and a folio in the swap cache.
 *
 * A slot that is not in the swap cache is at rest: whatever goes to the device, into zswap or back
 * from there passes through the swap cache. So does what zswap writes to the device. One that is
 * there is at rest if its folio is neither dirty nor under writeback, and not locked, for it is
 * locked from its entry into the swap cache until writeback begins. Only a slot that was at rest
 * before and after it was looked at is told.
 */

#include "kernel.bpf.h"
#include "swap.h"

extern struct swap_shared shared;

/* A run of slots that is looked at: where what is kept of its first slot lies, or NULL. */
struct look {
	bool_t known;       /* what there should be on this kernel is there */
	const __u64 *table; /* a word a slot */
	const __u8 *map;    /* a byte a slot */
	const __u64 *zeromap;
	const __u64 *frontswap_map;
	const struct xarray *tree; /* of zswap */
	__u64 type;
	__u64 offset; /* slot */
	__u64 at;     /* in units, as bytes */
};

/* The bit of a slot in a bitmap of the whole swap; negative: cannot be read. */
static __always_inline int read_bit(const __u64 *map, __u64 offset)
{
	__u64 word;

	if (!map || bpf_probe_read_kernel(&word, sizeof(word), map + offset / 64) < 0)
		return -1;
	return word >> (offset % 64) & 1;
}

/* Is this slot one of the folio's? What is found there may have become something else. */
static __always_inline bool_t folio_has_slot(const void *folio, __u64 entry)
{
	const struct folio___swap *f = folio;
	__u64 first;

	return bpf_core_field_exists(f->swap) &&
	       bpf_probe_read_kernel(&first, sizeof(first), &f->swap) == 0 &&
	       entry - first < SWAP_FOLIO_SLOTS;
}

static __always_inline __u32 look_at_folio(const void *folio, __u64 entry)
{
	unsigned long flags, mask;

	mask = (unsigned long)1 << bpf_core_enum_value(enum pageflags, PG_dirty);
	mask |= (unsigned long)1 << bpf_core_enum_value(enum pageflags, PG_locked);
	mask |= (unsigned long)1 << bpf_core_enum_value(enum pageflags, PG_writeback);
	if (folio_read_flags(folio, &flags) < 0 || (flags & mask) || !folio_has_slot(folio, entry))
		return SWAP_SLOT_CACHED | SWAP_SLOT_UNSETTLED;
	return SWAP_SLOT_CACHED;
}

/* The folio whose first page has this number; NULL: it cannot be told. */
static __always_inline const void *folio_of_number(__u64 number)
{
	__u64 vmemmap = shared.places.vmemmap;

	return vmemmap ? (void *)(vmemmap + number * bpf_core_type_size(struct page)) : NULL;
}

/* A word of a table that stands alone. See classify/units.c, which must tell the same. */
static __always_inline __u32 look_at_counted(__u64 word, __u64 entry)
{
	const void *folio;

	if (word >> SWAP_TABLE_COUNT_SHIFT != 1 || !(word & 3))
		return SWAP_SLOT_CACHE_UNKNOWN;
	if (word & 1)
		return 0;
	folio = folio_of_number((word & ~SWAP_TABLE_FLAGS) >> SWAP_TABLE_NUMBER_SHIFT);
	return folio ? look_at_folio(folio, entry) : SWAP_SLOT_CACHED | SWAP_SLOT_UNSETTLED;
}

/* A word of a table that has a swap_map beside it: the address of a folio, if of one at all. */
static __always_inline __u32 look_at_word(__u64 word, __u64 entry)
{
	if (word == 0 || (word & 1))
		return 0;
	if ((word & 7) || (__s64)word >= 0)
		return SWAP_SLOT_CACHE_UNKNOWN;
	return look_at_folio((const void *)word, entry);
}

/* With a swap_map; which says it alone, or how often the slot is referred to. */
static __always_inline __u32 look_at_both(__u8 byte, const __u64 *word, __u64 entry)
{
	bool_t marked = (byte & ~SWAP_MAP_HAS_CACHE) == SWAP_MAP_SHMEM;
	bool_t cached = !!(byte & SWAP_MAP_HAS_CACHE);
	__u32 bits = word ? look_at_word(*word, entry) : 0;

	if (marked && !word)
		return cached ? SWAP_SLOT_CACHED | SWAP_SLOT_UNSETTLED : 0;
	if (!word || !(marked || byte == 1))
		return SWAP_SLOT_CACHE_UNKNOWN;
	if (marked && !!(bits & SWAP_SLOT_CACHED) != cached)
		return SWAP_SLOT_CACHE_UNKNOWN;
	return bits;
}

/* Is the slot in the swap cache? ret_word: what the table says, where there is one. */
static __always_inline __u32 look_in_cache(const struct look *l, __u32 k, __u64 *ret_word)
{
	__u64 entry = (l->type << SWAP_ENTRY_TYPE_SHIFT) + l->offset + k;
	__u8 byte;

	*ret_word = 0;
	if (!l->known)
		return SWAP_SLOT_CACHE_UNKNOWN;
	if (l->table && bpf_probe_read_kernel(ret_word, sizeof(*ret_word), l->table + k) < 0)
		return SWAP_SLOT_CACHE_UNKNOWN;
	if (!l->map)
		return look_at_counted(*ret_word, entry);
	if (bpf_probe_read_kernel(&byte, sizeof(byte), l->map + k) < 0)
		return SWAP_SLOT_CACHE_UNKNOWN;
	return look_at_both(byte, l->table ? ret_word : NULL, entry);
}

static __always_inline __u32 look_for_zero(const struct look *l, __u32 k, __u64 word)
{
	struct swap_cluster_info *cluster = NULL;
	struct swap_info_struct *si = NULL;
	int bit;

	if (bpf_core_field_exists(si->zeromap)) {
		bit = read_bit(l->zeromap, l->offset + k);
		if (bit < 0)
			return SWAP_SLOT_UNKNOWN;
		return bit ? SWAP_SLOT_ZERO : 0;
	}
	if (!bpf_core_type_exists(struct swap_table))
		return 0;
	/* The bit is one that we know only where the bits beside it are the count. */
	if (bpf_core_field_exists(cluster->zero_bitmap) || bpf_core_field_exists(si->swap_map))
		return SWAP_SLOT_UNKNOWN;
	return word >> SWAP_TABLE_ZERO_BIT & 1 ? SWAP_SLOT_ZERO : 0;
}

/* Is there anything at this index? Negative: it is being changed. */
static __always_inline int xarray_has(const struct xarray *xarray, __u64 index)
{
	struct xa_node *node;
	__u64 word = 0;
	__u8 shift = 0;

	if (bpf_probe_read_kernel(&word, sizeof(word), &xarray->xa_head) < 0)
		return -1;
	if (!is_node(word))
		return is_internal(word) ? -1 : word != 0 && index == 0;
	node = to_node(word);
	if (bpf_probe_read_kernel(&shift, sizeof(shift), &node->shift) < 0 || shift > 60)
		return -1;
	if (index >> shift > XA_CHUNK_MASK)
		return 0;
	for (int level = 0; level < XA_LEVELS_MAX; level++) {
		if (bpf_probe_read_kernel(&word, sizeof(word),
					  &node->slots[index >> shift & XA_CHUNK_MASK]) < 0)
			return -1;
		if (shift == 0 || !is_node(word))
			break;
		node = to_node(word);
		shift -= XA_CHUNK_SHIFT;
	}
	return is_internal(word) ? -1 : word != 0;
}

static __always_inline __u32 look_in_zswap(const struct look *l, __u32 k)
{
	struct swap_info_struct *si = NULL;
	int has;

	if (bpf_core_field_exists(si->frontswap_map))
		return read_bit(l->frontswap_map, l->offset + k) ? SWAP_SLOT_ZSWAP_OPEN : 0;
	if (!bpf_core_type_exists(struct zswap_entry))
		return 0;
	if (!zswap_is_xarray() || !l->tree)
		return SWAP_SLOT_ZSWAP_OPEN;
	has = xarray_has(l->tree, l->offset + k);
	if (has < 0)
		return SWAP_SLOT_UNKNOWN;
	return has ? SWAP_SLOT_ZSWAP : 0;
}

static long look_at_slot(__u32 k, void *context)
{
	const struct look *l = context;
	__u64 word, again;
	__u32 bits = look_in_cache(l, k, &word);

	bits |= look_for_zero(l, k, word) | look_in_zswap(l, k);
	bits |= look_in_cache(l, k, &again);
	if ((bits & SWAP_SLOT_CACHED) && word != again)
		bits |= SWAP_SLOT_UNSETTLED;
	((__u8 *)shared.units)[MASKED(l->at + k, SWAP_UNITS_BYTES - 1)] = bits;
	return 0;
}

static __always_inline const __u64 *table_of(const struct swap_type *t, __u64 offset)
{
	__u64 per_cluster = swap_cluster_slots();
	struct swap_cluster_info *cluster;
	__u64 *table;

	if (!per_cluster || !t->cluster_info)
		return NULL;
	cluster = (void *)t->cluster_info +
		  offset / per_cluster * bpf_core_type_size(struct swap_cluster_info);
	table = BPF_CORE_READ(cluster, table);
	return table ? table + offset % per_cluster : NULL;
}

static __always_inline void begin_look(const struct swap_run *run, struct look *l)
{
	const struct swap_type *t = &shared.types[MASKED(run->type, SWAP_TYPES - 1)];
	bool_t has_table = bpf_core_type_exists(struct swap_table);
	struct swap_info_struct *si = NULL;
	bool_t has_map = bpf_core_field_exists(si->swap_map);

	/* What has no table, and should have, is no slot in use: it comes out as unknown. */
	if (!t->address || run->offset + run->count > t->max ||
	    bpf_core_type_exists(struct swap_cluster_info_dynamic))
		return;
	l->type = run->type;
	l->offset = run->offset;
	if (has_table)
		l->table = table_of(t, run->offset);
	if (has_map && t->swap_map)
		l->map = (const __u8 *)t->swap_map + run->offset;
	l->known = (has_table || has_map) && !has_table == !l->table && !has_map == !l->map;
	l->zeromap = (const __u64 *)t->zeromap;
	l->frontswap_map = (const __u64 *)t->frontswap_map;
	if (t->zswap_tree)
		l->tree = (void *)t->zswap_tree +
			  (run->offset >> ZSWAP_TREE_SHIFT) * bpf_core_type_size(struct xarray);
}

/* The runs under way. (Not static: clang would take it apart, and its BTF be refused.) */
struct {
	__u64 first;
	__u64 at;    /* bytes of units that are filled */
	__u64 slots; /* looked at in this go */
} contents;

static long look_at_run(__u32 k, void *context)
{
	__u64 i = contents.first + k, at = contents.at;
	const struct swap_run *run;
	struct look l = {.at = at};

	if (i >= SWAP_RUNS || contents.slots >= SWAP_LOOK_SLOTS ||
	    at > SWAP_UNITS_BYTES - SWAP_RUN_SLOTS)
		return 1;
	run = &shared.runs[MASKED(i, SWAP_RUNS - 1)];
	if (run->count > SWAP_RUN_SLOTS)
		return 1;
	begin_look(run, &l);
	bpf_loop(run->count, look_at_slot, &l, 0);
	contents.slots += run->count;
	contents.at = at + ((run->count + 7) & ~(__u64)7);
	shared.n_runs_done = i + 1;
	return 0;
}

/* Arguments: the run to begin with, 0 for the first go; how many there are. */
struct contents_args {
	__u64 first;
	__u64 n_runs;
};

SEC("raw_tp")
int swap_contents(struct contents_args *args)
{
	__u64 first = args->first, n_runs = args->n_runs;

	if (first == 0)
		contents.at = 0;
	contents.first = first;
	contents.slots = 0;
	shared.n_runs_done = first;
	if (first < n_runs)
		bpf_loop(n_runs - first, look_at_run, NULL, 0);
	return 0;
}
