/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "ctl/candidates.h"
#include "ctl/progress.h"
#include "json/get.h"
#include "util/array.h"
#include "util/text.h"

void idle_watch_done(struct idle_watch *w)
{
	idle_close(&w->tracker);
	free(w->pids);
	idle_frames_done(&w->marked);
	page_ranges_done(&w->watched);
	page_ranges_done(&w->idle);
}

int idle_watch_check(void)
{
	enum idle_obstacle obstacle = idle_find_obstacle();

	return obstacle == IDLE_NO_OBSTACLE
		       ? 0
		       : failed("--idle: %s", idle_obstacle_to_string(obstacle));
}

static int failed_watch(int error)
{
	if (error == -ENOMEM)
		return out_of_memory();
	if (error == -EPERM || error == -EACCES)
		return failed("--idle: %s", idle_obstacle_to_string(IDLE_NO_PRIVILEGE));
	return failed("--idle: the idle-page bitmap cannot be used: %s", text_error(error));
}

static int add_pid(struct idle_watch *w, size_t *n_allocated, pid_t pid)
{
	for (size_t i = 0; i < w->target.n_pids; i++)
		if (w->pids[i] == pid)
			return 0;
	if (ARRAY_RESERVE(&w->pids, n_allocated, w->target.n_pids) < 0)
		return -ENOMEM;
	w->pids[w->target.n_pids++] = pid;
	return 0;
}

/* Whose page tables tell where its pages are: anybody's who maps it. */
static int find_target(struct idle_watch *w, struct remote *r, struct page_range range)
{
	_cleanup_(snapshot_done) struct snapshot s = {0};
	_cleanup_free_ char *reason = NULL;
	const struct object *o;
	size_t n_allocated = 0;
	int code = source_show(&r->base, &o, &s, &reason);

	if (code != 0)
		return code;
	for (size_t i = 0; i < o->n_mappers; i++)
		if (o->mappers[i].shared && add_pid(w, &n_allocated, o->mappers[i].pid) < 0)
			return out_of_memory();
	w->target.id = o->id;
	w->target.page_size = o->page_size;
	w->target.range = range;
	w->target.pids = w->pids;
	return 0;
}

static void wait_for_age(unsigned seconds)
{
	struct timespec until;

	progress_start("watching what is accessed");
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	progress_stop();
}

/* The service is asked before, so that it follows the object meanwhile. */
int idle_watch_begin(struct idle_watch *w, struct remote *r, struct page_range range)
{
	uint64_t seconds;
	int error = ask_for_proof(r, range, &seconds), code;

	if (error < 0)
		return remote_failed(r, error);
	code = find_target(w, r, range);
	if (code != 0)
		return code;
	error = idle_open(&w->tracker);
	if (error >= 0)
		error = idle_begin(&w->tracker, &w->target, &w->marked);
	if (error < 0)
		return failed_watch(error);
	/* Of none it would be known then either. */
	if (w->marked.n_items > 0)
		wait_for_age(r->base.options->age);
	return 0;
}

/* What hides accesses may have come meanwhile. */
int idle_watch_end(struct idle_watch *w)
{
	int code = idle_watch_check(), error;

	if (code != 0)
		return code;
	error = idle_end(&w->tracker, &w->target, &w->marked, &w->watched, &w->idle);
	return error < 0 ? failed_watch(error) : 0;
}

/* Candidates, out of which what was accessed is taken. */
struct sieve {
	const struct idle_watch *watch;
	struct pages *pages;
	uint64_t room;         /* pages that may still be given */
	size_t watched, idle;  /* where in these ranges we are */
	uint64_t n_watched, n; /* pages: in the ranges, and of all candidates */
	uint64_t n_idle;
	struct row *rows;
	size_t n_rows, n_allocated;
};

static int add_row(struct sieve *s, const struct row *from, struct page_range part)
{
	struct row row = *from;

	s->n_idle += part.count;
	part.count = MIN(part.count, s->room);
	if (part.count == 0)
		return 0;
	row.address += (part.first - row.first) * s->watch->target.page_size;
	row.first = part.first;
	row.count = part.count;
	if (ARRAY_RESERVE(&s->rows, &s->n_allocated, s->n_rows) < 0)
		return -ENOMEM;
	s->rows[s->n_rows++] = row;
	s->room -= part.count;
	return 0;
}

static int sift(struct sieve *s, const struct row *row)
{
	struct page_range part, left = {row->first, row->count};
	int r = 0;

	s->n += row->count;
	while (page_ranges_cut(&s->watch->watched, &s->watched, &left, &part))
		s->n_watched += part.count;
	left = (struct page_range){row->first, row->count};
	while (r >= 0 && page_ranges_cut(&s->watch->idle, &s->idle, &left, &part))
		r = add_row(s, row, part);
	return r;
}

static int handle_reply(void *context, struct json_object *reply)
{
	struct sieve *s = context;
	struct json_object *array;
	struct row row;
	int r = 0;

	if (!json_get(reply, s->pages->array, json_type_array, &array))
		return -EBADMSG;
	if (!s->pages->first)
		s->pages->first = json_object_get(reply);
	for (size_t i = 0; r >= 0 && i < json_object_array_length(array); i++)
		r = s->pages->take(json_object_array_get_idx(array, i), &row) ? sift(s, &row)
									      : -EBADMSG;
	return r;
}

/* What the selector says may be true of another object by now. */
static int check_same(const struct sieve *s)
{
	struct object_id id;
	const char *text;

	if (!json_get_text(s->pages->first, "object", &text) || object_id_parse(text, &id) < 0)
		return failed("the service's answer is not as its interface says");
	if (!object_id_match(&id, &s->watch->target.id))
		return failed("--idle: it is another object by now: %s", text);
	return 0;
}

static void add_reason(struct json_object *reply, uint64_t unwatched)
{
	struct json_object *reasons;
	char text[160];

	if (unwatched == 0 || !json_get(reply, "reasons", json_type_array, &reasons))
		return;
	snprintf(text, sizeof(text),
		 "%" PRIu64 " pages are left out that no process had in its page table all the "
		 "time: whether they were accessed is not known",
		 unwatched);
	json_object_array_add(reasons, json_object_new_string(text));
	json_object_object_add(reply, "incomplete", json_object_new_boolean(true));
}

/* The service's answer, as it is with what we know besides. */
static void add_access(const struct sieve *s)
{
	struct json_object *j = s->pages->first;

	json_object_object_add(j, "accessInformation", json_object_new_string("idle_page_bitmap"));
	json_object_object_add(j, "candidatePages", json_number(s->n_idle));
	json_object_object_add(j, "accessedPages", json_number(s->n_watched - s->n_idle));
	json_object_object_add(j, "unwatchedPages", json_number(s->n - s->n_watched));
	add_reason(j, s->n - s->n_watched);
}

static void print(const struct sieve *s)
{
	struct pages *p = s->pages;

	add_access(s);
	pages_begin(p);
	for (size_t i = 0; i < s->n_rows; i++)
		pages_print(p, &s->rows[i]);
	if (p->options->format == FORMAT_JSON)
		json_stream_close(&p->stream);
}

int idle_watch_ask(const struct idle_watch *w, struct remote *r, struct pages *p,
		   struct page_range range, uint64_t max)
{
	struct sieve s = {.watch = w, .pages = p, .room = max};
	int error = remote_ask_more(r, "FindCandidates",
				    remote_make_candidates(r, range, UINT64_MAX), true,
				    handle_reply, &s),
	    code;

	if (error >= 0 && !p->first)
		error = -EBADMSG;
	code = error < 0 ? remote_failed(r, error) : check_same(&s);
	if (code == 0)
		print(&s);
	free(s.rows);
	return code;
}
