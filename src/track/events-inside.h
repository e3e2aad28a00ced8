/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the events:
 *   events.c          what is watched, and attaching while anything is
 *   events-consume.c  what came, how much of it was lost, how much it was
 *   events-load.c     the BPF programs
 *   events-words.c    names
 */

#include <stddef.h>

#include "bpf/track.h"
#include "track/events.h"

struct ring_buffer;

/* Descriptors, all that is kept of what was loaded. -1: there is none. */
struct events_kernel {
	int programs[TRACK_WRITERS];
	int flush;
	int ring;
	int batches;
	int objects; /* at EVENTS_ALL */
	unsigned cpus;
};

/*
 * Loads the programs of that level, and attaches each once to see that the kernel takes it; those
 * that it refuses are left out if the level does without them. Returns 0 or a negative errno.
 */
int events_load(enum events_level level, struct events_kernel *ret);
void events_unload(struct events_kernel *k);

/* Attaches one. Returns a descriptor, which detaches it when closed, or a negative errno. */
int events_attach(int program);

struct watch {
	uint64_t inode;
	unsigned uses;
	uint64_t base;  /* what the counter was when it began */
	bool uncounted; /* for a while at least it was one of too many */
};

struct events {
	enum events_level level;
	int errors[EVENTS_LEVEL_MAX];
	struct events_kernel kernel;
	struct watch *watches;
	size_t n_watches, allocated;
	uint64_t near[TRACK_NEAR]; /* inodes of those whose page cache is searched; 0: free */
	unsigned drop_every;
	unsigned all;  /* how many want to hear of any object */
	uint64_t lost; /* before it was attached last */

	/* While attached: */
	bool attached;
	int links[TRACK_WRITERS];
	struct ring_buffer *ring;
	struct track_batch *batches; /* mapped: TRACK_WRITERS for each CPU */

	/* While they are consumed: */
	events_visit visit;
	void *context;
	int n_visited;
};

static inline size_t events_batches(const struct events *e)
{
	return (size_t)e->kernel.cpus * TRACK_WRITERS;
}

struct watch *events_find(const struct events *e, uint64_t inode); /* or NULL */
/* The place of one among those whose page cache is searched; -1: none. 0: a free one. */
int events_near(const struct events *e, uint64_t inode);
uint64_t events_sum_near(const struct events *e, int place); /* its swap-outs, since ever */

/* Pages of which no record tells yet are put into one: see track.bpf.h. It may wake who waits. */
void events_end_runs(const struct events *e);

uint64_t events_sum_lost(const struct events *e); /* since it was attached */

/* Makes the ring buffer readable, and throws away what is left of the last time. */
int events_open_ring(struct events *e);
