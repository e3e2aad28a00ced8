/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The question "in which state is each page of this object?", and the probes that answer it.
 * A probe reads: it faults nothing in, touches no page, and keeps neither descriptor nor mapping.
 */

#include <sys/types.h>

#include "model/snapshot.h"
#include "probe/kcaps.h"
#include "probe/prober.h"
#include "util/parse.h"

/* Where a process maps a part of the object: a second witness for "present". */
struct probe_witness {
	pid_t pid;
	uint64_t page;  /* of the address space */
	uint64_t first; /* page of the object that lies there */
	uint64_t count; /* pages */
};

struct probe_request {
	int fd; /* of the object, borrowed; open for reading is enough */
	const struct kcaps *caps;
	struct page_range range;               /* pages; what lies beyond the object is cropped */
	const struct probe_witness *witnesses; /* shared mappings only; may be none */
	size_t n_witnesses;
	bool one_look; /* stable is not asked for, which may save time: it is then false */
};

/* The whole object, however large. */
#define PROBE_ALL ((struct page_range){.first = 0, .count = UINT64_MAX})

/* By the probe that was chosen; what the prober has. Returns as the two below do. */
int probe(struct prober *p, const struct probe_request *request, struct snapshot *ret);

/*
 * Answers by a walk of the page cache. Every state is one that the page had between call and
 * return; of a page that nobody touched meanwhile it is right whatever else moved.
 * Returns 0 and fills *ret (the caller calls snapshot_done), -EOPNOTSUPP when there is no walker or
 * the object is no shmem, or another negative errno.
 */
int probe_walk(struct prober *p, const struct probe_request *request, struct snapshot *ret);

/*
 * Asks both, and compares: ret holds the walk's answer, and in verification what they did not agree
 * about in a row of tries. Returns as they do.
 */
int probe_verify(struct prober *p, const struct probe_request *request, struct snapshot *ret);

/*
 * Answers by lseek, mincore, cachestat, pagemap and the kernel's accounting alone.
 * Returns 0 and fills *ret (the caller calls snapshot_done), -EPERM when the kernel would lie about
 * residency to this caller, or another negative errno.
 */
int probe_portable(const struct probe_request *request, struct snapshot *ret);
