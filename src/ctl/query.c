/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/query.h"
#include "ctl/report.h"
#include "util/text.h"

void query_done(struct query *q)
{
	free(q->objects);
	discovery_done(&q->discovery);
	prober_done(&q->prober);
	*q = QUERY_NONE;
}

static int report_discovery(const struct selector *s, int error)
{
	if (error == -ENODATA)
		return failed("/proc does not show this process: is it mounted?");
	if (s->path && error == -ENOTTY)
		return failed("%s: not shared memory; expected a file on tmpfs", s->path);
	if (s->path && error == -ENOENT)
		return failed("%s: no such file", s->path);
	if (s->path && error != -ESRCH)
		return failed("%s: %s", s->path, text_error(error));
	if (error == -ESRCH)
		return failed("--pid=%d: no such process", (int)s->pid);
	return failed("cannot look for shared memory: %s", text_error(error));
}

int query_open(struct query *q, const struct options *o, bool all_processes)
{
	const struct selector *s = &o->selector;
	struct discover_options how = {.way = DISCOVER_AUTO};
	int r = kcaps_probe(&q->caps);

	if (r < 0)
		return failed("cannot make a memfd to try the kernel on: %s", text_error(r));
	r = o->slots ? prober_open_to_locate(&q->prober, &q->caps, o->probe)
		     : prober_open(&q->prober, &q->caps, o->probe);
	if (r < 0)
		return failed("--probe=%s: %s", probe_choice_to_string(o->probe),
			      text_walker_error(r));
	/* The portable way is without BPF altogether. */
	if (o->probe == PROBE_PORTABLE)
		how.way = DISCOVER_PROC;
	r = selector_discover(s, &how, &q->caps, all_processes, &q->discovery);
	if (r < 0)
		return report_discovery(s, r);
	q->n_objects = selector_match(s, &q->discovery, &q->objects);
	return q->n_objects < 0 ? failed("%s", text_error(q->n_objects)) : 0;
}

struct object *query_one(const struct query *q, const char *verb)
{
	if (q->n_objects == 1)
		return q->objects[0];
	if (q->n_objects == 0) {
		if (query_report_denied(q) == 0)
			failed("no such object; shmstatectl list shows those that exist");
		else
			failed("no such object among those that can be seen");
		return NULL;
	}
	report_candidates(verb, q->objects, (size_t)q->n_objects);
	return NULL;
}

int query_check_range(const struct options *o, const struct page_range *range, uint64_t pages)
{
	if (o->range && range->first + range->count > pages)
		return failed("--range=%s: the object has %" PRIu64 " pages", o->range, pages);
	return 0;
}

int query_report_denied(const struct query *q)
{
	unsigned processes = q->discovery.n_denied_processes;
	unsigned mappings = q->discovery.n_denied_mappings;

	/* With hidepid others do not even show as unreadable. */
	if (processes == 0 && mappings == 0 && !kcaps_has(&q->caps, KCAP_PROC_ALL))
		return incomplete("for want of privilege processes of others could not be seen");
	if (processes == 0 && mappings == 0)
		return 0;
	return incomplete("for want of privilege %u process%s and %u mapping%s could not be read",
			  processes, processes == 1 ? "" : "es", mappings,
			  mappings == 1 ? "" : "s");
}
