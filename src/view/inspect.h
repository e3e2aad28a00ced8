/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Open, probe, close: the whole way from a discovered object to its snapshot. */

#include "discover/discover.h"
#include "probe/locate.h"
#include "probe/probe.h"

/*
 * Probes the range of the object through the ways that the discovery knows. Nothing stays open.
 * Returns 0 (the caller calls snapshot_done), what object_open() or the probe failed with:
 * -EOPNOTSUPP (a kind without states), -EACCES (cannot be opened), -EPERM (the kernel would lie),
 * -ENOENT (gone), or another negative errno.
 */
int inspect_object(struct prober *p, const struct discovery *d, const struct object *o,
		   struct page_range range, struct snapshot *ret);
/* The same, of an object that is open already; one_look: it does not matter whether it is stable.
 */
int inspect_descriptor(struct prober *p, const struct discovery *d, const struct object *o, int fd,
		       struct page_range range, bool one_look, struct snapshot *ret);

/* A look at an object that is open. */
struct inspection {
	struct prober *prober;
	const struct discovery *discovery;
	const struct object *object;
	int fd;
	struct page_range range;
	unsigned settle; /* ms: how long to look again for, until two looks agree; 0: once is enough
			  */
	uint64_t began;  /* out: CLOCK_MONOTONIC, ns, of the look that counts */
	uint64_t ended;
};

/*
 * The same. If it is to settle, *ret is the last look, and says whether it did: whether that one
 * and the one before showed the same of every page.
 */
int inspect_pages(struct inspection *i, struct snapshot *ret);

/* Opens, and looks as inspect_pages() does, for so many ms. */
int inspect_object_settled(struct prober *p, const struct discovery *d, const struct object *o,
			   struct page_range range, unsigned settle, struct snapshot *ret);

/* The same of the whole object, where it does not matter whether the answer is stable. */
int inspect_object_once(struct prober *p, const struct discovery *d, const struct object *o,
			struct snapshot *ret);

/*
 * Where in the swap the object's pages are. Returns 0 (the caller calls slot_map_done), or what
 * object_open() or probe_locate() failed with.
 */
int inspect_locate(struct prober *p, const struct discovery *d, const struct object *o,
		   struct page_range range, struct slot_map *ret);
