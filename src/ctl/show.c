/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json.h"
#include "ctl/report.h"
#include "ctl/source.h"
#include "ctl/summary.h"
#include "ctl/terminal.h"
#include "util/text.h"

static void print_counts(const struct snapshot *s, bool bytes)
{
	printf("\n%12s %12s %8s\n", "STATE", "PAGES", "SIZE");
	for (int i = 0; i < PAGE_STATE_MAX; i++) {
		char size[TEXT_SIZE_MAX];

		/* The four that everybody asks for are shown even when there are none. */
		if (s->counts[i] == 0 && i != PAGE_HOLE && i != PAGE_PRESENT &&
		    i != PAGE_SWAP_CACHE && i != PAGE_SWAPPED)
			continue;
		printf("%12s %12" PRIu64 " %8s\n", page_state_to_string((enum page_state)i),
		       s->counts[i], text_size(s->counts[i] * s->page_size, bytes, size));
	}
}

static void print_processes(const struct object *o)
{
	if (o->n_holders > 0)
		printf("\n%12s %12s\n", "HOLDER", "FD");
	for (size_t i = 0; i < o->n_holders; i++)
		printf("%12d %12d\n", (int)o->holders[i].pid, o->holders[i].fd);
	if (o->n_mappers > 0)
		printf("\n%12s %12s %-33s %s\n", "MAPPER", "OFFSET", "ADDRESS", "SHARING");
	for (size_t i = 0; i < o->n_mappers; i++) {
		const struct object_mapper *m = &o->mappers[i];
		char range[40];

		snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, m->start, m->end);
		printf("%12d %12" PRIu64 " %-33s %s\n", (int)m->pid, m->offset, range,
		       m->shared ? "shared" : "private");
	}
}

static void print_json(const struct options *o, const struct object *object,
		       const struct snapshot *s, const char *reason)
{
	struct json_object *j = json_of_object(object);

	if (!reason)
		json_add_snapshot(j, s, o->states);
	else
		json_object_object_add(j, "counts", NULL);
	json_object_object_add(j, "reason", reason ? json_object_new_string(reason) : NULL);
	json_object_object_add(j, "holders", json_of_holders(object, 0, object->n_holders, "fd"));
	json_object_object_add(j, "mappers", json_of_mappers(object, 0, object->n_mappers));
	json_print(o->json, j);
}

static void print_text(const struct options *o, const struct object *object,
		       const struct snapshot *s, const char *reason)
{
	summary_print(object, reason ? NULL : s, o->bytes);
	if (reason)
		printf("   States: none (%s)\n", reason);
	else
		print_counts(s, o->bytes);
	print_processes(object);
}

int verb_show(const struct options *o)
{
	_cleanup_(source_closep) struct source *s = NULL;
	_cleanup_(snapshot_done) struct snapshot snapshot = {0};
	_cleanup_free_ char *reason = NULL;
	const struct object *object;
	int r = source_open(o, &s);

	if (r == 0)
		r = source_show(s, &object, &snapshot, &reason);
	if (r != 0)
		return r;
	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON)
		print_json(o, object, &snapshot, reason);
	else
		print_text(o, object, &snapshot, reason);
	r = reason ? 0 : report_snapshot(&snapshot, o->states);
	return r != 0 ? r : source_report_gaps(s);
}
