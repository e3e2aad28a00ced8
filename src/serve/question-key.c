/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/question.h"

/* Those that do the same, and keep the same of it. */
static int kind_of_look(const struct question *q)
{
	if (q->method == METHOD_SUBSCRIBE)
		return q->again ? 3 : 2;
	return q->method == METHOD_LOCATE;
}

char *question_key(const struct question *q)
{
	const struct selector *s = &q->selector;
	char id[OBJECT_ID_MAX] = "";
	char *key;

	if (s->have_id)
		object_id_format(&s->id, true, id);
	/* Lengths: a path may hold anything. */
	if (asprintf(&key,
		     "%d|%d|%d %d|%d %" PRIx64 "|%" PRIu64 "+%" PRIu64 "|%d|%" PRIu64
		     "|%u|%s|%zu:%s|%zu:%s",
		     kind_of_look(q), s->pid, s->have_fd, s->fd, s->have_address, s->address,
		     q->range.first, q->range.count, q->probe, q->since, q->settle, id,
		     s->path ? strlen(s->path) : 0, s->path ? s->path : "",
		     s->name ? strlen(s->name) + 1 : 0, s->name ? s->name : "") < 0)
		return NULL;
	return key;
}
