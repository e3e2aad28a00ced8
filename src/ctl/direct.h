/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The source that asks the kernel.
 *   direct.c               objects, their pages and places
 *   direct-pagemap.c       what a process maps
 *   direct-capabilities.c  what works
 */

#include "ctl/query.h"
#include "ctl/source-inside.h"
#include "view/process_view.h"

struct direct {
	struct source base;
	struct query query;
	bool listed;              /* objects, of which the selected process knows all */
	bool found;               /* query is open: good for all that is asked of it */
	struct process_view view; /* pagemap_fd -1: none */
};

static inline struct direct *direct_of(struct source *s)
{
	return (struct direct *)s; /* base is its first field */
}

int direct_pagemap(struct source *s, struct page_range range, const struct mapped_sink *sink);
int direct_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error);
int direct_report_pagemap(struct source *s);
int direct_capabilities(struct source *s, struct capabilities *ret);
