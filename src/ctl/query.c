/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/query.h"
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

const char *query_object_id(const struct object *o, char *buf)
{
	return object_id_format(&o->id, o->has_twin, buf);
}

static void report_candidates(const struct query *q)
{
	for (int i = 0; i < q->n_objects; i++) {
		const struct object *o = q->objects[i];
		_cleanup_free_ char *name = o->name ? text_escape(o->name) : NULL;
		char id[OBJECT_ID_MAX];

		fprintf(stderr, "  %s %s%s%s\n", query_object_id(o, id),
			object_kind_to_string(o->kind), name ? " " : "", name ? name : "");
	}
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
	failed("%s takes one object, but %d match:", verb, q->n_objects);
	report_candidates(q);
	return NULL;
}

int query_range(const struct options *o, struct page_range *ret)
{
	struct page_range range = PROBE_ALL;

	if (o->range && parse_page_range(o->range, (uint64_t)sysconf(_SC_PAGESIZE), &range) < 0)
		return usage_error("--range=%s: expected FIRST+COUNT or FIRST-LAST, in pages or in "
				   "bytes with K, M, G or T",
				   o->range);
	*ret = range;
	return 0;
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

/* Both answers for every page that they differ about. */
static int report_verification(const struct verification *v)
{
	for (size_t i = 0; i < v->n_items; i++) {
		const struct disagreement *d = &v->items[i];

		note("pages %" PRIu64 "+%" PRIu64 ": walk says %s, portable says %s%s", d->first,
		     d->count, page_state_to_string(d->walk), page_state_to_string(d->portable),
		     d->explained ? " (of a large swap entry, which the kernel looks up by its "
				    "first page)"
				  : "");
	}
	if (v->unexplained > 0)
		return failed("the two probes do not agree about %" PRIu64 " of %" PRIu64 " pages",
			      v->unexplained, v->compared);
	return 0;
}

int query_report_snapshot(const struct snapshot *s, page_state_mask asked)
{
	int r = report_verification(&s->verification);

	if (r != 0)
		return r;
	if (!s->stable)
		note("not stable: %" PRIu64 " pages changed state between two looks", s->moved);
	if (!snapshot_is_incomplete(s, asked))
		return 0;
	for (unsigned bit = 1; bit <= s->reasons; bit <<= 1)
		if (s->reasons & bit)
			incomplete("%" PRIu64 " of %" PRIu64 " pages not determined: %s",
				   s->counts[PAGE_UNKNOWN] + s->counts[PAGE_IN_CORE], s->count,
				   snapshot_reason_to_string((enum snapshot_reason)bit));
	return EXIT_INCOMPLETE;
}
