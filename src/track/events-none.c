/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stands in for events.c in a build without BPF: nothing ever comes. */

#include <errno.h>
#include <stddef.h>

#include "track/events.h"

struct events {
	char nothing;
};

int events_new(enum events_level limit, struct events **ret)
{
	static struct events none;

	(void)limit;
	*ret = &none;
	return 0;
}

struct events *events_free(struct events *e)
{
	(void)e;
	return NULL;
}

enum events_level events_level(const struct events *e)
{
	(void)e;
	return EVENTS_NONE;
}

int events_error(const struct events *e, enum events_level level)
{
	(void)e;
	return level == EVENTS_NONE ? 0 : -EOPNOTSUPP;
}

int events_watch(struct events *e, uint64_t inode)
{
	(void)e;
	(void)inode;
	return 0;
}

void events_unwatch(struct events *e, uint64_t inode)
{
	(void)e;
	(void)inode;
}

int events_watch_all(struct events *e)
{
	(void)e;
	return 0;
}

void events_unwatch_all(struct events *e)
{
	(void)e;
}

bool events_attached(const struct events *e)
{
	(void)e;
	return false;
}

int events_fd(const struct events *e)
{
	(void)e;
	return -1;
}

int events_consume(struct events *e, events_visit visit, void *context)
{
	(void)e;
	(void)visit;
	(void)context;
	return 0;
}

uint64_t events_lost(const struct events *e)
{
	(void)e;
	return 0;
}

bool events_tells(const struct events *e, enum event_kind kind)
{
	(void)e;
	(void)kind;
	return false;
}

int events_count(const struct events *e, uint64_t inode, struct event_counts *ret)
{
	(void)e;
	(void)inode;
	(void)ret;
	return -EOPNOTSUPP;
}

void events_set_drop(struct events *e, unsigned every)
{
	(void)e;
	(void)every;
}
