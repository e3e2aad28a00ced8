/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What whoever can be asked must be able to do: see source.h. What is returned there as an exit
 * code is one here.
 */

#include "ctl/source.h"

struct source_ops {
	int (*list)(struct source *s, bool stability, struct listing *ret);
	int (*classify)(struct source *s, struct page_range range, const struct object **ret_object,
			struct snapshot *ret);
	int (*show)(struct source *s, const struct object **ret_object, struct snapshot *ret,
		    char **ret_reason);
	int (*locate)(struct source *s, struct page_range range, const struct object **ret_object,
		      struct slot_map *ret);
	int (*pagemap)(struct source *s, struct page_range range, const struct mapped_sink *sink);
	int (*words)(struct source *s, struct page_range range, bool gaps,
		     const struct word_sink *sink, uint64_t *ret_unsure, int *ret_error);
	int (*report_pagemap)(struct source *s);
	int (*report_gaps)(struct source *s);
	int (*capabilities)(struct source *s, struct capabilities *ret);
	void (*done)(struct source *s); /* frees s too */
};

/* The first field of each kind. */
struct source {
	const struct source_ops *ops;
	const struct options *options;
};

int direct_open(const struct options *o, struct source **ret);

/* Adds one, all zero but for its object. Returns NULL if memory is short. */
struct listed *listing_add(struct listing *l, const struct object *object);

/* Texts are copied; NULL is fine for the reason. Returns 0 or -ENOMEM. */
int capabilities_add(struct capabilities *c, const char *name, bool works, const char *tells,
		     const char *reason);
