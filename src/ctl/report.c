/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/report.h"
#include "util/text.h"

const char *object_id_text(const struct object *o, char *buf)
{
	return object_id_format(&o->id, o->has_twin, buf);
}

void report_candidates(const char *verb, struct object *const *objects, size_t n)
{
	failed("%s takes one object, but %zu match:", verb, n);
	for (size_t i = 0; i < n; i++) {
		const struct object *o = objects[i];
		_cleanup_free_ char *name = o->name ? text_escape(o->name) : NULL;
		char id[OBJECT_ID_MAX];

		fprintf(stderr, "  %s %s%s%s\n", object_id_text(o, id),
			object_kind_to_string(o->kind), name ? " " : "", name ? name : "");
	}
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

int report_snapshot(const struct snapshot *s, page_state_mask asked)
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

int report_answer(const struct snapshot *s, const struct options *o)
{
	int r = report_snapshot(s, o->states);

	if (o->settle == 0 || s->settled)
		return r;
	incomplete("not settled: no two looks in a row agreed within %u ms", o->settle);
	return r != 0 ? r : EXIT_INCOMPLETE;
}
