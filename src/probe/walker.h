/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The loaded BPF programs that read an object's page cache word by word (bpf/walk.bpf.c), and where
 * its swap entries lie (bpf/swap.bpf.c, see swap-slots.h). Loading takes some ten milliseconds; a
 * walker then serves any number of requests, one at a time. It holds no object: each call names a
 * descriptor of the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bpf/walk.h"
#include "util/parse.h"

struct walker;

enum walker_use {
	WALKER_STATES,
	WALKER_LOCATE, /* where contents of swap slots are, too: takes twice as long to load */
};

/*
 * Loads the programs, and tries them on an object of our own: a kernel whose page cache does not
 * read as expected is refused. Returns 0, -EPERM (privilege), -EOPNOTSUPP (no BPF in this build,
 * or this kernel's page cache is not as we know it), -ENOENT (no BTF), or another negative errno.
 */
int walker_new(enum walker_use use, struct walker **ret);
struct walker *walker_free(struct walker *w); /* NULL is fine; returns NULL */

/* What one chunk found. Borrowed until the next chunk is read. */
struct walker_chunk {
	const struct walk_record *records;
	uint64_t n_records;
	uint64_t next;            /* the page to go on with; >= end: that was the last chunk */
	struct walk_facts before; /* of the object, when the chunk began */
	struct walk_facts after;
};

struct walker_place {
	int fd;
	uint64_t first; /* pages */
	uint64_t end;
	uint64_t max_records;
};

/*
 * Reads pages from first on, as many as may be read in one go and give no more than max_records (at
 * least WALK_NODE_PAGES, at most WALK_RECORDS). Returns 0, -EOPNOTSUPP if fd is no shmem object, or
 * another negative errno.
 */
int walker_read(struct walker *w, const struct walker_place *place, struct walker_chunk *ret);

/* Chunks hold preemption off: how long they did since the walker was made. */
struct walker_stats {
	uint64_t chunks;
	uint64_t total_ns;
	uint64_t max_ns;
};

void walker_get_stats(const struct walker *w, struct walker_stats *ret);
