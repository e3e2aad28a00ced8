/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shared memory as one process maps it: by virtual address. What /proc/PID/pagemap does not say of
 * a page of a shared mapping comes from the object's snapshot; what a process has copied for itself
 * in a private mapping comes from pagemap.
 */

#include "discover/discover.h"
#include "model/slot_map.h"
#include "model/snapshot.h"
#include "probe/prober.h"
#include "util/parse.h"

/* The states of a page of the object (enum page_state), and those that only a process can see. */
enum view_state {
	VIEW_PRIVATE_PRESENT = PAGE_STATE_MAX, /* the process's own copy, in RAM */
	VIEW_PRIVATE_SWAPPED,                  /* its own copy, in swap */
	VIEW_PRIVATE_UNKNOWN,                  /* its own or the object's: pagemap does not tell */
	VIEW_BEYOND_END,                       /* the object ends before: access gives SIGBUS */
	VIEW_NOT_SWAPPABLE,                    /* hugetlb, secretmem, guest_memfd */
	VIEW_BARRED,                           /* the object could not be looked at */
	VIEW_STATE_MAX,
};

const char *view_state_to_string(int state);

/* One mapping, and the snapshot of its object (shared with other mappings of the same object). */
struct view_mapping {
	const struct object *object; /* borrowed from the discovery */
	struct object_mapper where;
	const struct snapshot *snapshot; /* NULL if error is set */
	const struct slot_map *slots;    /* NULL: not asked for, or not to be had */
	int error;
};

struct process_view {
	pid_t pid;
	uint64_t page_size;
	int pagemap_fd;
	struct view_mapping *mappings; /* by address */
	size_t n_mappings, n_mappings_allocated;
	struct snapshot *snapshots; /* one for each object */
	struct slot_map *slots;     /* likewise; an empty one where it is not to be had */
	size_t n_snapshots;
};

void process_view_done(struct process_view *v);

/*
 * Looks at the mappings that the process has of these objects, as far as they lie in range (pages
 * of the address space). Returns 0 or a negative errno (-EACCES: its pagemap may not be read).
 */
int process_view_build(struct prober *p, const struct discovery *d, pid_t pid,
		       struct object *const *objects, size_t n_objects, struct page_range range,
		       struct process_view *ret);

/*
 * Asks too where in the swap the pages are, for view_read_words(); where there is no walk, nothing
 * is known of that. Returns 0 or a negative errno.
 */
int process_view_locate(struct process_view *v, struct prober *p, const struct discovery *d);

/* As of one snapshot: pages that changed state between two looks; did these agree, of all objects?
 */
uint64_t process_view_moved(const struct process_view *v);
bool process_view_is_stable(const struct process_view *v);

/* The part of the mapping that lies in range, in pages of the address space; count may be 0. */
struct page_range view_mapping_crop(const struct process_view *v, const struct view_mapping *m,
				    struct page_range range);

/* Told of runs of pages in one state, in order. page is of the address space. Negative stops. */
typedef int (*view_emit)(void *context, const struct view_mapping *m, uint64_t page, uint64_t count,
			 int state);

/* Goes over a part of one mapping. Returns 0 or a negative errno. */
int view_walk(const struct process_view *v, const struct view_mapping *m, struct page_range range,
	      view_emit emit, void *context);

/*
 * The words of /proc/PID/pagemap for n pages of one mapping, with PAGEMAP_SWAP set for swapped
 * pages of the object (in the swap cache or not), as for private ones, with type and offset where
 * process_view_locate() found them, and cleared where the kernel means a marker by it. Adds to
 * *ret_unsure the pages of which that could not be told.
 */
int view_read_words(const struct process_view *v, const struct view_mapping *m, uint64_t page,
		    size_t n, uint64_t *words, uint64_t *ret_unsure);
