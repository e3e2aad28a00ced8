/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json.h"
#include "ctl/pageout.h"
#include "ctl/summary.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"

/* What the cells of a row are made from. */
struct row {
	enum pageout_fate fate;
	uint64_t pages, bytes;
};

static const struct row *row_of(const void *row)
{
	return row;
}

static struct cell cell_pages(const void *row)
{
	return cell_number(row_of(row)->pages);
}

static struct cell cell_size(const void *row)
{
	return cell_bytes(row_of(row)->bytes);
}

static struct cell cell_outcome(const void *row)
{
	return cell_text(pageout_fate_to_string(row_of(row)->fate));
}

static struct cell cell_meaning(const void *row)
{
	return cell_text(pageout_fate_to_text(row_of(row)->fate));
}

static const struct column columns[] = {
	{"PAGES", "pages", true, false, 12, cell_pages},
	{"SIZE", "bytes", true, false, 8, cell_size},
	{"OUTCOME", "outcome", false, false, 13, cell_outcome},
	{"MEANING", "meaning", false, false, 7, cell_meaning},
};

/* Pages that left; those that stayed; those of which it is not known. */
static void sum_up(const struct pageout *p, uint64_t *ret_left, uint64_t *ret_refused)
{
	uint64_t left = 0, refused = 0;

	for (int i = 0; i < FATE_MAX; i++) {
		if (pageout_fate_is_left((enum pageout_fate)i))
			left += p->counts[i];
		if (pageout_fate_is_refused((enum pageout_fate)i))
			refused += p->counts[i];
	}
	*ret_left = left;
	*ret_refused = refused;
}

static void print_summary(const struct pageout *p)
{
	bool bytes = p->options->bytes;
	char size[TEXT_SIZE_MAX];

	summary_print_object(p->object);
	printf("  Process: %d\n", (int)p->victim.pid);
	printf("    Asked: %s (%" PRIu64 " pages)\n",
	       text_size(p->asked * p->page_size, bytes, size), p->asked);
	if (p->options->dry_run)
		printf("  Dry run: nothing was paged out\n");
	else
		printf("     Took: %.3f s\n", (double)p->took / 1e9);
	putchar('\n');
}

/* In a table only what there is; a script finds each row. */
static void print_rows(const struct pageout *p, const struct table *t)
{
	bool csv = p->options->format == FORMAT_CSV;

	if (!p->options->no_legend && csv)
		csv_print_header(t);
	else if (!p->options->no_legend)
		table_print_header(t);
	for (int i = 0; i < FATE_MAX; i++) {
		struct row row = {(enum pageout_fate)i, p->counts[i], p->counts[i] * p->page_size};

		if (csv)
			csv_print_row(t, &row);
		else if (p->counts[i] > 0)
			table_print_row(t, &row);
	}
}

/* To a millisecond. */
static struct json_object *json_of_seconds(uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", (double)ns / 1e9);
	return json_object_new_double_s((double)ns / 1e9, text);
}

static void print_json(const struct pageout *p)
{
	struct json_object *j = json_of_object(p->object), *outcomes = json_object_new_object();
	uint64_t left, refused;

	sum_up(p, &left, &refused);
	for (int i = 0; i < FATE_MAX; i++)
		json_object_object_add(outcomes, pageout_fate_to_string((enum pageout_fate)i),
				       json_number(p->counts[i]));
	json_object_object_add(j, "pid", json_object_new_int(p->victim.pid));
	json_object_object_add(j, "dryRun", json_object_new_boolean(p->options->dry_run));
	json_object_object_add(j, "interrupted", json_object_new_boolean(p->interrupted));
	json_object_object_add(j, "seconds", json_of_seconds(p->took));
	json_object_object_add(j, "askedPages", json_number(p->asked));
	json_object_object_add(j, "leftPages", json_number(left));
	json_object_object_add(j, "refusedPages", json_number(refused));
	json_object_object_add(j, "outcomes", outcomes);
	json_print(p->options->json, j);
}

void pageout_print(const struct pageout *p)
{
	struct table t;

	if (table_init(&t, columns, ARRAY_SIZE(columns), p->options) != 0)
		return;
	pager_open(p->options->no_pager);
	if (p->options->format == FORMAT_JSON) {
		print_json(p);
		return;
	}
	if (!p->options->no_legend && p->options->format == FORMAT_TABLE)
		print_summary(p);
	print_rows(p, &t);
}

int pageout_report(const struct pageout *p)
{
	uint64_t left, refused, unsure = p->counts[FATE_UNDETERMINED];
	int code = 0;

	sum_up(p, &left, &refused);
	if (p->interrupted)
		code = incomplete("interrupted: %" PRIu64 " of %" PRIu64 " pages were not tried",
				  p->counts[FATE_NOT_TRIED], p->asked);
	if (refused > 0)
		code = incomplete("%" PRIu64 " of %" PRIu64 " pages %s", refused, p->asked,
				  p->options->dry_run ? "would stay in RAM" : "stayed in RAM");
	if (unsure > 0)
		code = incomplete("%" PRIu64 " of %" PRIu64
				  " pages not determined: it is not known whether they left",
				  unsure, p->asked);
	return code;
}
