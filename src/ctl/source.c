/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "ctl/progress.h"
#include "ctl/remote.h"
#include "ctl/source-inside.h"
#include "util/array.h"

int source_open(const struct options *o, struct source **ret)
{
	struct source *s = NULL;
	int r;

	if (!o->direct) {
		r = remote_open(o, &s);
		if (r != 0)
			return r;
	}
	/* Nobody there. */
	if (!s) {
		r = direct_open(o, &s);
		if (r != 0)
			return r;
	}
	*ret = s;
	return 0;
}

struct source *source_close(struct source *s)
{
	progress_stop();
	if (s)
		s->ops->done(s);
	return NULL;
}

/* Runs one of the calls, and shows meanwhile that it does. */
#define ASK(what, s, op, ...)                             \
	({                                                \
		bool ours_ = progress_start(what);        \
		int code_;                                \
                                                          \
		code_ = (s)->ops->op((s), ##__VA_ARGS__); \
		if (ours_)                                \
			progress_stop();                  \
		code_;                                    \
	})

int source_list(struct source *s, bool stability, struct listing *ret)
{
	return ASK("looking at objects", s, list, stability, ret);
}

int source_classify(struct source *s, struct page_range range, const struct object **ret_object,
		    struct snapshot *ret)
{
	return ASK("looking at pages", s, classify, range, ret_object, ret);
}

int source_show(struct source *s, const struct object **ret_object, struct snapshot *ret,
		char **ret_reason)
{
	return ASK("looking at pages", s, show, ret_object, ret, ret_reason);
}

int source_locate(struct source *s, struct page_range range, const struct object **ret_object,
		  struct slot_map *ret)
{
	return ASK("looking for places in the swap", s, locate, range, ret_object, ret);
}

int source_pagemap(struct source *s, struct page_range range, const struct mapped_sink *sink)
{
	return ASK("looking at what the process maps", s, pagemap, range, sink);
}

int source_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error)
{
	return ASK("looking at what the process maps", s, words, range, gaps, sink, ret_unsure,
		   ret_error);
}

int source_report_pagemap(struct source *s)
{
	return s->ops->report_pagemap(s);
}

int source_report_gaps(struct source *s)
{
	return s->ops->report_gaps(s);
}

int source_capabilities(struct source *s, struct capabilities *ret)
{
	return ASK("trying what works", s, capabilities, ret);
}

struct listed *listing_add(struct listing *l, const struct object *object)
{
	struct listed *item;

	if (ARRAY_RESERVE(&l->items, &l->n_allocated, l->n_items) < 0)
		return NULL;
	item = &l->items[l->n_items++];
	*item = (struct listed){.object = object};
	return item;
}

void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n_items; i++) {
		free(l->items[i].reason);
		snapshot_done(&l->items[i].snapshot);
	}
	free(l->items);
	*l = (struct listing){0};
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

int capabilities_add(struct capabilities *c, const char *name, bool works, const char *tells,
		     const char *reason)
{
	struct capability *item;

	if (ARRAY_RESERVE(&c->items, &c->n_allocated, c->n_items) < 0)
		return -ENOMEM;
	item = &c->items[c->n_items++];
	*item = (struct capability){
		.name = copy(name), .tells = copy(tells), .reason = copy(reason), .works = works};
	return item->name && item->tells && (item->reason || !reason) ? 0 : -ENOMEM;
}

void capabilities_done(struct capabilities *c)
{
	for (size_t i = 0; i < c->n_items; i++) {
		free(c->items[i].name);
		free(c->items[i].tells);
		free(c->items[i].reason);
	}
	free(c->items);
	free(c->kernel);
	free(c->machine);
	free(c->probe);
	*c = (struct capabilities){0};
}
