/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whom the verbs ask: the kernel (direct.c) or the service (remote.c). The verbs know no
 * difference: they get the model either way. What source_ functions fail with has been said on
 * stderr: they return 0 or an exit code.
 */

#include "ctl/ctl.h"
#include "model/object.h"
#include "model/slot_map.h"
#include "model/snapshot.h"

struct source;

/*
 * The service where it is there, else ourselves; --direct and --socket decide it. What the options
 * point at is borrowed.
 */
int source_open(const struct options *o, struct source **ret);
struct source *source_close(struct source *s); /* NULL is fine; returns NULL */

static inline void source_closep(struct source **s)
{
	source_close(*s);
}

/* An object in a list. */
struct listed {
	const struct object *object; /* the source's */
	struct snapshot snapshot;    /* of the whole, without its map; all zero if there is none: */
	char *reason;                /* why; NULL: it is there */
	bool barred;                 /* it could not be had, though the object has states */
	uint64_t processes;          /* that hold or map it */
	uint64_t holders;            /* descriptors */
	uint64_t mappers;            /* mappings */
};

/* All zero: empty. */
struct listing {
	struct listed *items;
	size_t n_items, n_allocated;
};

void listing_done(struct listing *l);

/* The objects that the options select. stability: look twice. */
int source_list(struct source *s, bool stability, struct listing *ret);

/*
 * The one object that the options select, and its pages. *ret_object is the source's; NULL if the
 * output does not need it. verb is for messages.
 */
int source_classify(struct source *s, struct page_range range, const struct object **ret_object,
		    struct snapshot *ret);
/* The same without a map, but with its holders and mappers. *ret_reason: why it has no states. */
int source_show(struct source *s, const struct object **ret_object, struct snapshot *ret,
		char **ret_reason);
/* Where in the swap its pages are. */
int source_locate(struct source *s, struct page_range range, const struct object **ret_object,
		  struct slot_map *ret);

/* A run of pages in one state of what a process maps. Texts are borrowed. */
struct mapped {
	uint64_t start; /* bytes, address space */
	uint64_t end;
	uint64_t pages;
	uint64_t offset;    /* bytes, object */
	const char *object; /* its id */
	const char *name;   /* escaped; NULL: none */
	enum object_kind kind;
	int state; /* enum page_state or enum view_state */
	bool shared;
};

/* Of all that a process maps. */
struct mapped_head {
	uint64_t page_size;
	uint64_t moved;
	bool stable;
};

struct mapped_sink {
	void (*head)(void *context, const struct mapped_head *head);
	void (*run)(void *context, const struct mapped *run);
	void *context;
};

/* Gives what the process maps of the objects, by address, to the sink. */
int source_pagemap(struct source *s, struct page_range range, const struct mapped_sink *sink);

struct word_sink {
	/* The process can be looked at. Returns 0 or an exit code, with which it ends. */
	int (*begin)(void *context);
	/* n words for the pages of the address space from `page` on. 0 or a negative errno. */
	int (*words)(void *context, uint64_t page, size_t n, const uint64_t *words);
	void *context;
};

/*
 * The words of /proc/PID/pagemap; with gaps also those of pages in the range that map no shared
 * memory. *ret_unsure: pages of which it is not known whether they are in the swap; *ret_error is
 * what the sink, or the kernel, failed with, for the caller to say: then 0 is returned too.
 */
int source_words(struct source *s, struct page_range range, bool gaps, const struct word_sink *sink,
		 uint64_t *ret_unsure, int *ret_error);

/* Says what about the answer of one of these two is not as it should be. An exit code. */
int source_report_pagemap(struct source *s);

/* What could not be seen while looking for objects is said on stderr. EXIT_INCOMPLETE if anything.
 */
int source_report_gaps(struct source *s);

struct capability {
	char *name;
	char *tells;
	char *reason; /* NULL: none */
	bool works;
};

/* Owns all of it. */
struct capabilities {
	char *kernel;
	char *machine;
	char *probe;
	uint64_t page_size;
	struct capability *items;
	size_t n_items, n_allocated;
};

void capabilities_done(struct capabilities *c);

int source_capabilities(struct source *s, struct capabilities *ret);
