/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects of events-check, and what was told of them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "track/events.h"

struct object {
	int fd;
	char *map;
	uint64_t pages;
	uint64_t inode;
	unsigned char *before;              /* in core, by mincore */
	unsigned char *after;               /* likewise */
	unsigned char *told;                /* a bit for each kind of event */
	uint64_t events[EVENT_KIND_MAX];    /* how many of them */
	uint64_t unmatched[EVENT_KIND_MAX]; /* that might have been it */
	uint64_t written;                   /* pages told of as swapped out, each time */
	uint64_t lost;                      /* events_lost() by then */
};

extern uint64_t page_size;

/* Everything that cannot be done ends the program. dir: a tmpfs; NULL: a memfd. */
struct object *object_new(uint64_t pages, const char *dir);
void object_free(struct object *o);
void object_write(struct object *o, uint64_t first, uint64_t count);
/* Every step-th page; together if that is each of them. */
void object_page_out(struct object *o, uint64_t first, uint64_t count, uint64_t step);
void object_touch(struct object *o, uint64_t first, uint64_t count);
void object_look(const struct object *o, unsigned char *ret);
void object_forget(struct object *o, const struct events *events);

/* Tells the n objects what came; what is of none of them is counted in *ret_strange. */
struct hearing {
	struct object *const *objects;
	size_t n;
	uint64_t strange;
};

void hear(void *context, const struct event *event);

unsigned events_links(void); /* of BPF, that this process holds */
bool events_readable(const struct events *events, int ms);
void drop_privileges(void); /* all of them */

uint64_t swapped_out(void); /* pages so far, of anybody, as the kernel counts them */

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
