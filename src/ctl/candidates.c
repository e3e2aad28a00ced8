/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "ctl/candidates.h"
#include "ctl/report.h"
#include "ctl/terminal.h"
#include "track/idle.h"
#include "json/get.h"

/* Looks are a second apart, and the first comes a moment after the call. */
#define WAIT_MORE_SECONDS 3

static struct cell cell_first(const void *row)
{
	return cell_number(((const struct row *)row)->first);
}

static struct cell cell_count(const void *row)
{
	return cell_number(((const struct row *)row)->count);
}

static struct cell cell_address(const void *row)
{
	const struct row *r = row;

	return (struct cell){.type = r->have_address ? CELL_ADDRESS : CELL_NULL,
			     .number = r->address};
}

static struct cell cell_times(const void *row)
{
	return cell_number(((const struct row *)row)->times);
}

static struct cell cell_ago(const void *row)
{
	return cell_number(((const struct row *)row)->ago);
}

static const struct column candidate_columns[] = {
	{"FIRST", "first", true, false, 12, cell_first},
	{"COUNT", "count", true, false, 12, cell_count},
	{"ADDRESS", "address", true, false, 16, cell_address},
};

static const struct column refault_columns[] = {
	{"FIRST", "first", true, false, 12, cell_first},
	{"COUNT", "count", true, false, 12, cell_count},
	{"TIMES", "times", true, false, 6, cell_times},
	{"AGO", "lastSecondsAgo", true, false, 8, cell_ago},
};

static bool take_candidate(struct json_object *j, struct row *ret)
{
	*ret = (struct row){0};
	ret->have_address = json_get_number(j, "address", &ret->address);
	return json_get_number(j, "first", &ret->first) && json_get_number(j, "count", &ret->count);
}

static bool take_refault(struct json_object *j, struct row *ret)
{
	*ret = (struct row){0};
	return json_get_number(j, "first", &ret->first) &&
	       json_get_number(j, "count", &ret->count) &&
	       json_get_number(j, "times", &ret->times) &&
	       json_get_number(j, "lastSecondsAgo", &ret->ago);
}

static void print_line(const char *name, struct json_object *reply, const char *key,
		       const char *unit, const char *if_null)
{
	uint64_t n;

	if (json_get_number(reply, key, &n))
		printf("%10s: %" PRIu64 "%s\n", name, n, unit);
	else
		printf("%10s: %s\n", name, if_null);
}

static void print_object(struct json_object *reply)
{
	const char *id = "-";

	json_get_text(reply, "object", &id);
	printf("%10s: %s\n", "Object", id);
}

static const char *why_no_access(void)
{
	return idle_is_offered() ? "not used (--idle uses the idle-page bitmap)"
				 : "not used (this kernel has no idle-page bitmap)";
}

static void print_candidates_head(const struct pages *p, struct json_object *reply)
{
	const char *text = why_no_access();

	print_object(reply);
	print_line("Age", reply, "ageSeconds", " s", "-");
	print_line("Present", reply, "presentPages", " pages", "-");
	print_line("Candidates", reply, "candidatePages", " pages", "-");
	print_line("Came back", reply, "recentPages", " pages", "-");
	print_line("Unproven", reply, "unprovenPages", " pages", "-");
	if (p->options->idle) {
		print_line("Accessed", reply, "accessedPages", " pages", "-");
		print_line("Unwatched", reply, "unwatchedPages", " pages", "-");
	}
	print_line("Followed", reply, "followedSeconds", " s", "not known in full");
	print_line("Process", reply, "process", "", "-");
	json_get_text(reply, "accessInformation", &text);
	printf("%10s: %s\n\n", "Access", text);
}

static void print_refaults_head(const struct pages *p, struct json_object *reply)
{
	(void)p;
	print_object(reply);
	print_line("Came back", reply, "refaultedPages", " pages", "-");
	print_line("Observed", reply, "observedSeconds", " s", "-");
	print_line("Followed", reply, "followedSeconds", " s", "not known in full");
	putchar('\n');
}

void pages_begin(struct pages *p)
{
	const struct options *o = p->options;
	struct json_object *copy = NULL;

	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON && json_object_deep_copy(p->first, &copy, NULL) >= 0) {
		/* What is about one reply of several, and what comes as a stream. */
		json_object_object_del(copy, "first");
		json_object_object_del(copy, "next");
		json_object_object_del(copy, p->array);
		json_stream_open(&p->stream, o->json, copy, p->array);
	} else if (o->format == FORMAT_TABLE && !o->no_legend) {
		p->head(p, p->first);
		table_print_header(&p->table);
	} else if (o->format == FORMAT_CSV && !o->no_legend) {
		csv_print_header(&p->table);
	}
}

void pages_print(struct pages *p, const struct row *row)
{
	if (p->options->format == FORMAT_JSON)
		json_stream_item(&p->stream, table_json_row(&p->table, p->options, row));
	else if (p->options->format == FORMAT_CSV)
		csv_print_row(&p->table, row);
	else
		table_print_row(&p->table, row);
}

static int handle_reply(void *context, struct json_object *reply)
{
	struct pages *p = context;
	struct json_object *array;
	struct row row;

	if (!json_get(reply, p->array, json_type_array, &array))
		return -EBADMSG;
	if (!p->first) {
		p->first = json_object_get(reply);
		pages_begin(p);
	}
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		if (!p->take(json_object_array_get_idx(array, i), &row))
			return -EBADMSG;
		pages_print(p, &row);
	}
	return 0;
}

/* Why not all is known, a line each. */
static int report_reasons(struct json_object *reply)
{
	struct json_object *reasons;
	bool is_incomplete = false;

	json_get_bool(reply, "incomplete", &is_incomplete);
	if (!is_incomplete || !json_get(reply, "reasons", json_type_array, &reasons))
		return 0;
	for (size_t i = 0; i < json_object_array_length(reasons); i++)
		incomplete("%s", json_object_get_string(json_object_array_get_idx(reasons, i)));
	return EXIT_INCOMPLETE;
}

static int report_unproven(const struct options *o, struct json_object *reply)
{
	uint64_t pages = 0, seconds;
	const char *text;

	if (json_get_text(reply, "addressReason", &text))
		note("no addresses: %s", text);
	json_get_number(reply, "unprovenPages", &pages);
	if (pages == 0)
		return report_reasons(reply);
	if (o->unproven)
		incomplete("%" PRIu64 " pages are given that may have come back within the age",
			   pages);
	else if (json_get_number(reply, "provenInSeconds", &seconds))
		incomplete("%" PRIu64 " pages are left out: that they have not come back is known "
			   "in %" PRIu64 " s (--wait waits for it, --unproven gives them)",
			   pages, seconds);
	else
		incomplete("%" PRIu64 " pages are left out, which may have come back "
			   "(--unproven gives them)",
			   pages);
	return report_reasons(reply);
}

int ask_for_proof(struct remote *r, struct page_range range, uint64_t *ret)
{
	uint64_t pages = 0, seconds = 0;
	struct json_object *reply;
	int error =
		remote_ask(r, "FindCandidates", remote_make_candidates(r, range, 0), true, &reply);

	if (error < 0)
		return error;
	json_get_number(reply, "unprovenPages", &pages);
	if (pages > 0 && json_get_number(reply, "provenInSeconds", &seconds))
		seconds = MAX(seconds, UINT64_C(1));
	json_object_put(reply);
	*ret = seconds;
	return 0;
}

/* For the age at most, and a look or two. */
static int wait_for_proof(struct remote *r, struct page_range range)
{
	uint64_t left = r->base.options->age + WAIT_MORE_SECONDS, seconds = 0;
	int error = ask_for_proof(r, range, &seconds);

	while (error >= 0 && seconds > 0 && left > 0) {
		seconds = MIN(seconds, left);
		sleep((unsigned)seconds);
		left -= seconds;
		error = ask_for_proof(r, range, &seconds);
	}
	return error;
}

static int ask(struct remote *r, struct pages *p, const char *method,
	       struct json_object *parameters)
{
	int error = remote_ask_more(r, method, parameters, true, handle_reply, p);

	if (error >= 0 && !p->first)
		error = -EBADMSG;
	if (error < 0)
		return remote_failed(r, error);
	if (p->options->format == FORMAT_JSON)
		json_stream_close(&p->stream);
	return 0;
}

static uint64_t max_pages(const struct options *o)
{
	return o->max_bytes > 0 ? o->max_bytes / (uint64_t)sysconf(_SC_PAGESIZE) : UINT64_MAX;
}

static int find_all(struct remote *r, struct pages *p, struct page_range range)
{
	const struct options *o = p->options;
	int error = o->wait ? wait_for_proof(r, range) : 0;

	if (error < 0)
		return remote_failed(r, error);
	return ask(r, p, "FindCandidates", remote_make_candidates(r, range, max_pages(o)));
}

static int find_idle(struct remote *r, struct pages *p, struct page_range range)
{
	_cleanup_(idle_watch_done) struct idle_watch w = {.tracker = IDLE_CLOSED};
	int code = idle_watch_begin(&w, r, range), error;

	if (code != 0)
		return code;
	error = p->options->wait ? wait_for_proof(r, range) : 0;
	if (error < 0)
		return remote_failed(r, error);
	code = idle_watch_end(&w);
	return code != 0 ? code : idle_watch_ask(&w, r, p, range, max_pages(p->options));
}

static int find_candidates(struct remote *r, struct pages *p, struct page_range range)
{
	int code = remote_check_object(r);

	if (code == 0)
		code = p->options->idle ? find_idle(r, p, range) : find_all(r, p, range);
	return code != 0 ? code : report_unproven(p->options, p->first);
}

static int find_refaults(struct remote *r, struct pages *p, struct page_range range)
{
	struct json_object *j = json_object_new_object();
	int code = remote_check_object(r);

	remote_add_probe(r, j);
	remote_add_range(r, j, range);
	if (code != 0) {
		json_object_put(j);
		return code;
	}
	code = ask(r, p, "GetRefaults", j);
	return code != 0 ? code : report_reasons(p->first);
}

static int run(struct pages *p, const struct column *columns, size_t n,
	       int (*find)(struct remote *r, struct pages *p, struct page_range range))
{
	_cleanup_(source_closep) struct source *s = NULL;
	struct page_range range = ALL_PAGES;
	int r = table_init(&p->table, columns, n, p->options);

	if (r == 0)
		r = options_page_range(p->options, &range);
	if (r == 0)
		r = remote_open_needed(p->options, &s);
	if (r == 0)
		r = find(remote_of(s), p, range);
	json_object_put(p->first);
	return r;
}

int verb_candidates(const struct options *o)
{
	struct pages p = {
		.options = o,
		.array = "ranges",
		.take = take_candidate,
		.head = print_candidates_head,
	};
	int code = o->idle ? idle_watch_check() : 0;

	if (code != 0)
		return code;
	return run(&p, candidate_columns, ARRAY_SIZE(candidate_columns), find_candidates);
}

int verb_refaults(const struct options *o)
{
	struct pages p = {
		.options = o,
		.array = "extents",
		.take = take_refault,
		.head = print_refaults_head,
	};

	return run(&p, refault_columns, ARRAY_SIZE(refault_columns), find_refaults);
}
