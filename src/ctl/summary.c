/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/report.h"
#include "ctl/summary.h"
#include "util/text.h"

void summary_print_object(const struct object *o)
{
	_cleanup_free_ char *name = o->name ? text_escape(o->name) : NULL;
	char id[OBJECT_ID_MAX];

	printf("   Object: %s (%s)%s%s%s\n", object_id_text(o, id), object_kind_to_string(o->kind),
	       name ? " " : "", name ? name : "", o->deleted ? " (deleted)" : "");
}

static void print_probe(const struct snapshot *s)
{
	const char *before = " (";

	printf("    Probe: %s", s->probe);
	for (unsigned bit = 1; bit <= s->sources; bit <<= 1) {
		if (!(s->sources & bit))
			continue;
		printf("%s%s", before, probe_source_to_string((enum probe_source)bit));
		before = ", ";
	}
	printf("%s\n", s->sources ? ")" : "");
	if (s->walk_error)
		printf("  No walk: %s\n", text_walker_error(s->walk_error));
	if (s->verification.done)
		printf(" Verified: %" PRIu64 " pages, %" PRIu64 " disagreements\n",
		       s->verification.compared, s->verification.unexplained);
}

void summary_print(const struct object *o, const struct snapshot *s, bool bytes)
{
	uint64_t size = s ? s->size : o->size;
	char text[TEXT_SIZE_MAX];

	summary_print_object(o);
	if (s || o->have_size)
		printf("     Size: %s (%" PRIu64 " pages of %" PRIu64 " bytes)\n",
		       text_size(size, bytes, text), size_to_pages(size, o->page_size),
		       o->page_size);
	if (!s)
		return;
	if (s->count != size_to_pages(size, s->page_size))
		printf("    Range: %" PRIu64 "+%" PRIu64 " pages\n", s->first, s->count);
	print_probe(s);
	if (s->stable)
		printf("   Stable: yes\n");
	else
		printf("   Stable: no (%" PRIu64 " pages moved between two looks)\n", s->moved);
	if (s->settled)
		printf("  Settled: yes\n");
	if (s->generation != 0)
		printf("      Now: %" PRIu64 "\n", s->generation);
}
