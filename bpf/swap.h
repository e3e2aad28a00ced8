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
	uint8_t get_swap_device_text[SWAP_TEXT_BYTES];
	uint8_t zswap_invalidate_text[SWAP_TEXT_BYTES];
};

/* Program swap_types: what swap_info[type] says. */
struct swap_type {
	uint64_t address; /* 0: never used since boot */
	uint64_t zswap_tree;
	uint64_t swap_map; /* addresses; 0: this kernel has none */
	uint64_t zeromap;
	uint64_t cluster_info;
	uint64_t flags;
	uint64_t inode; /* number */
	uint32_t type;  /* as the structure itself says */
	uint32_t max;   /* slots */
	uint32_t dev;   /* of the file system, kernel's encoding */
	uint32_t rdev;  /* of the block device, likewise */
	uint32_t mode;
	uint32_t pad;
};

#define SWAP_FLAG_USED 1

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
	uint64_t units[SWAP_UNITS_BYTES / 8];
	uint32_t unit_size;      /* bytes: 1 (swap_map) or 8 (table) */
	uint32_t n_runs_done;    /* those that were read; less than asked for: units were full */
	uint32_t failed;         /* a run could not be read */
	uint32_t table_has_zero; /* 7.2: zero pages are marked in the table */
};
