/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pages worth paging out: present, and not brought back from the swap lately. No system calls. */

#include "model/snapshot.h"
#include "track/refaults.h"

/* Goes over them in order. A copy remembers the place. What it reads is borrowed. */
struct candidates {
	struct state_cursor cursor;
	const struct refaults *refaults;
	uint32_t after; /* what came back after that, or may have, is none */
	uint64_t at;    /* of a run of present pages, what is left: up to `end` */
	uint64_t end;
	struct refault_extent
		back; /* the first that came back behind `at`; count 0: not looked for */
};

/* From this page of the snapshot on. refaults may be NULL: nothing came back. */
struct candidates candidates_seek(const struct snapshot *s, const struct refaults *refaults,
				  uint32_t after, uint64_t page);

/* The longest run that comes next. Returns false at the end. */
bool candidates_next(struct candidates *c, struct page_range *ret);

/* All that there are, in pages. */
uint64_t candidates_count(const struct snapshot *s, const struct refaults *refaults,
			  uint32_t after);
