/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/* What the swap programs (swap.bpf.c) and their caller (src/probe/swap-slots.c) say to each other.
 */

#include <linux/types.h>

#define SWAP_TYPES 32 /* 5 bits of a swap entry */
#define SWAP_TEXT_BYTES 512

/* Program swap_find: where the kernel's arrays are, or the code in which their addresses stand. */
struct swap_places {
	__u64 swap_info;   /* address of the array, 0: the kernel does not tell */
	__u64 zswap_trees; /* likewise */
	__u8 get_swap_device[SWAP_TEXT_BYTES];
	__u8 zswap_invalidate[SWAP_TEXT_BYTES];
};

/* Program swap_types: what swap_info[type] says. */
struct swap_type {
	__u64 address; /* 0: never used since boot */
	__u64 zswap_tree;
	__u64 swap_map; /* addresses; 0: this kernel has none */
	__u64 zeromap;
	__u64 cluster_info;
	__u64 flags;
	__u64 inode; /* number */
	__u32 type;  /* as the structure itself says */
	__u32 max;   /* slots */
	__u32 dev;   /* of the file system, kernel's encoding */
	__u32 rdev;  /* of the block device, likewise */
	__u32 mode;
	__u32 pad;
};

#define SWAP_FLAG_USED 1

/* Program swap_copy: one unit for each slot of each run, one run behind the other. */
struct swap_run {
	__u64 offset; /* slot */
	__u32 type;
	__u32 count; /* slots; a run lies in one aligned stretch of SWAP_RUN_SLOTS */
};

/* A divisor of the size of a cluster on all kernels. */
#define SWAP_RUN_SLOTS 256
#define SWAP_RUNS 4096
#define SWAP_UNITS_BYTES (512 * 1024)

/* Program swap_contents: what a byte a slot says. */
enum {
	SWAP_SLOT_ZERO = 1,    /* all zeros, never written to the device */
	SWAP_SLOT_ZSWAP = 2,   /* in zswap */
	SWAP_SLOT_UNKNOWN = 4, /* could not be read */
};

struct swap_shared {
	struct swap_places places;
	struct swap_type types[SWAP_TYPES];
	struct swap_run runs[SWAP_RUNS];
	__u64 units[SWAP_UNITS_BYTES / 8];
	__u32 unit_size;      /* bytes: 1 (swap_map) or 8 (table) */
	__u32 n_runs_done;    /* those that were read; less than asked for: units were full */
	__u32 failed;         /* a run could not be read */
	__u32 table_has_zero; /* 7.2: zero pages are marked in the table */
};
