/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/* What the swap programs (swap.bpf.c) and their caller (src/probe/swap-slots.c) say to each other.
 */

#include "types.h"

#define SWAP_TYPES 32 /* 5 bits of a swap entry */
#define SWAP_TEXT_BYTES 512

/*
 * Programs swap_symbols, swap_texts: where the kernel's arrays are, or the code in which their
 * addresses stand. Addresses; 0: the kernel does not tell.
 */
struct swap_places {
	uint64_t swap_info;
	uint64_t zswap_trees;
	uint64_t get_swap_device;
	uint64_t zswap_invalidate;
	uint64_t zswap_is_xarray; /* zswap_trees are as we know them */
	uint64_t has_maps;        /* by this kernel's BTF, swap_maps and tables */
	uint64_t has_tables;
	uint64_t type_bytes; /* of a swap_info_struct */
	uint64_t cluster_bytes;
	uint64_t cluster_slots;
	uint64_t vmemmap_base;
	uint64_t vmemmap; /* what stands there: where struct page of page frame 0 would be */
	uint8_t get_swap_device_text[SWAP_TEXT_BYTES];
	uint8_t zswap_invalidate_text[SWAP_TEXT_BYTES];
};

/* Program swap_types: what swap_info[type] says. */
struct swap_type {
	uint64_t address;    /* 0: never used since boot */
	uint64_t zswap_tree; /* addresses; 0: this kernel has none */
	uint64_t zswap_head; /* what the first tree holds, */
	uint64_t swap_map;
	uint64_t zeromap;
	uint64_t frontswap_map;
	uint64_t cluster_info;
	uint64_t flags;
	uint64_t inode; /* number */
	uint32_t type;  /* as the structure itself says */
	uint32_t max;   /* slots */
	uint32_t dev;   /* of the file system, kernel's encoding */
	uint32_t rdev;  /* of the block device, likewise */
	uint32_t mode;
	uint32_t zswap_flags; /* and its flags */
};

#define SWAP_FLAG_USED 1
#define SWAP_FLAG_WRITEOK 2 /* until swapoff begins */

/*
 * What a slot's byte of swap_map is, as no other version has it: while its content belongs to
 * shmem, and of the first slot, which is none. From 7.0 on ("mm/shmem, swap: remove
 * SWAP_MAP_SHMEM", and the same series dropped SWAP_HAS_CACHE) such a byte is a mere 1.
 */
#define SWAP_MAP_HAS_CACHE 0x40
#define SWAP_MAP_SHMEM 0xbf
#define SWAP_MAP_BAD 0x3f

/*
 * A word of a swap table that has no swap_map beside it: how often the slot is referred to (once,
 * if by shmem), from 7.2 on whether it is all zeros, and what it is. See classify/units.h.
 */
#define SWAP_TABLE_COUNT_SHIFT 60
#define SWAP_TABLE_ZERO_BIT 59
#define SWAP_TABLE_BAD (~(uint64_t)0 << 3)

/* Program swap_copy: one unit for each slot of each run, one run behind the other. */
struct swap_run {
	uint64_t offset; /* slot */
	uint32_t type;
	uint32_t count; /* slots; a run lies in one aligned stretch of SWAP_RUN_SLOTS */
};

/* A divisor of the size of a cluster on all kernels. */
#define SWAP_RUN_SLOTS 256
#define SWAP_RUNS 4096
#define SWAP_UNITS_BYTES (1024 * 1024)

/* Program swap_contents: one byte for each slot of each run, runs on borders of 8 bytes. Bits. */
enum {
	SWAP_SLOT_CACHED = 1,    /* in the swap cache */
	SWAP_SLOT_UNSETTLED = 2, /* may be newer in RAM, on its way, or cannot be told from that */
	SWAP_SLOT_ZERO = 4,      /* all zeros, never written to the device */
	SWAP_SLOT_ZSWAP = 8,     /* in zswap */
	SWAP_SLOT_ZSWAP_OPEN = 16,    /* perhaps in zswap */
	SWAP_SLOT_UNKNOWN = 32,       /* could not be read */
	SWAP_SLOT_CACHE_UNKNOWN = 64, /* nor whether it is in the swap cache: not as we know it */
};

/* How many slots are looked at in one go: preemption is off meanwhile. */
#define SWAP_LOOK_SLOTS 1024

struct swap_shared {
	struct swap_places places;
	struct swap_type types[SWAP_TYPES];
	struct swap_run runs[SWAP_RUNS];
	uint64_t units[SWAP_UNITS_BYTES / 8];
	uint32_t unit_size;   /* bytes: 1 (swap_map) or 8 (table) */
	uint32_t n_runs_done; /* those that were read; less than asked for: units were full */
	uint32_t failed;      /* a run could not be read */
	uint32_t pad;
};
