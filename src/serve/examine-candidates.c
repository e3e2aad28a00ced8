/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "serve/errors.h"
#include "serve/examine-inside.h"
#include "util/util.h"

/* How often to look again when another look has overtaken this one. */
#define TRIES 5

static void forget_look(struct result *result)
{
	result->snapshot = (struct snapshot){0};
	result->generation = generation_unref(result->generation);
}

/* A look after which it is known what has come back since the one before. */
static int look_in_order(struct examination *e, int fd)
{
	struct result *result = e->result;
	int r = examine_pages(e, fd);

	for (int i = 1; i < TRIES && r >= 0 && !result->generation->in_order; i++) {
		forget_look(result);
		r = examine_pages(e, fd);
	}
	if (r < 0)
		return r;
	return history_comebacks(e->history, &result->identity, &result->comebacks);
}

/* In whose addresses ranges are told: the process that was named, or the only one that maps it. */
static void choose_process(struct examination *e)
{
	struct result *result = e->result;
	const struct object *o = result->object;
	pid_t named = e->question->selector.pid;

	for (size_t i = 0; i < o->n_mappers; i++) {
		pid_t pid = o->mappers[i].pid;

		if (!o->mappers[i].shared || pid == getpid() || (named > 0 && pid != named))
			continue;
		if (result->process > 0 && result->process != pid) {
			result->several_processes = true;
			result->process = 0;
			return;
		}
		result->process = pid;
	}
	/* There may be one more that cannot be seen. */
	if (result->denied && named == 0)
		result->process = 0;
}

void examine_candidates(struct examination *e)
{
	struct result *result = e->result;
	_cleanup_close_ int fd = -1;
	int r;

	if (!examine_find(e, true) || !examine_passed(e))
		return;
	result->denied =
		result->discovery.n_denied_processes > 0 || result->discovery.n_denied_mappings > 0;
	fd = examine_open(e, result->object);
	r = fd < 0 ? fd : look_in_order(e, fd);
	if (r < 0) {
		examine_fail(e, r);
		return;
	}
	if (!examine_range(e, result->snapshot.size, result->snapshot.page_size))
		return;
	r = access_strip(e->access, result->object);
	if (r < 0) {
		errors_fail(result, r);
		return;
	}
	result->denied |= r > 0;
	choose_process(e);
}
