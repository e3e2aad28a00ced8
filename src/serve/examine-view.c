/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "discover/open.h"
#include "probe/pagemap.h"
#include "serve/errors.h"
#include "serve/examine-inside.h"
#include "util/array.h"
#include "util/util.h"
#include "view/words.h"

/* What is kept of an answer for one client has an end: a run takes 24 bytes, a word 8. */
#define RUNS_MAX (UINT64_C(1) << 20)
#define WORDS_MAX (UINT64_C(1) << 24)

/* All that can be addressed. */
#define ADDRESS_PAGES(v) (UINT64_MAX / (v)->page_size + 1)

/* Objects of which the peer may not be told are shown as barred. */
static int bar(struct examination *e, struct object *o)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (e->access->privileged || !object_kind_is_swappable(o->kind))
		return 0;
	fd = object_open(&e->result->discovery, o);
	r = fd < 0 ? 0 : access_states(e->access, o, fd);
	o->barred = r == -EPERM;
	return r == -EPERM ? 0 : r;
}

static int build(struct examination *e)
{
	const struct selector *s = &e->question->selector;
	struct discover_options how = {.way = DISCOVER_PROC, .finder = &e->finder};
	_cleanup_free_ struct object **objects = NULL;
	struct result *result = e->result;
	int n, r;

	r = selector_discover(s, &how, e->worker->prober.caps, false, &result->discovery);
	if (r < 0)
		return r;
	n = selector_match(s, &result->discovery, &objects);
	for (int i = 0; i < n && r >= 0; i++)
		r = bar(e, objects[i]);
	if (n < 0 || r < 0)
		return n < 0 ? n : r;
	if (result->discovery.n_denied_processes > 0)
		return -EACCES;
	result->denied = result->discovery.n_denied_mappings > 0;
	return process_view_build(&e->worker->prober, &result->discovery, s->pid, objects,
				  (size_t)n, e->question->range, &result->view);
}

static bool is_undetermined(int state)
{
	return state == PAGE_UNKNOWN || state == VIEW_PRIVATE_UNKNOWN || state == VIEW_BARRED;
}

static int add_run(void *context, const struct view_mapping *m, uint64_t page, uint64_t count,
		   int state)
{
	struct examination *e = context;
	struct result *r = e->result;
	int error = stop_asked();
	bool asked;

	if (error < 0)
		return error;
	asked = e->question->states & UINT32_C(1) << state;
	if (asked && r->n_runs >= RUNS_MAX) {
		r->runs_end = page;
		return -EFBIG;
	}
	if (is_undetermined(state))
		r->undetermined += count;
	r->own_undetermined |= state == VIEW_PRIVATE_UNKNOWN;
	if (!asked)
		return 0;
	error = ARRAY_RESERVE(&r->runs, &r->n_runs_allocated, r->n_runs);
	if (error < 0)
		return error;
	r->runs[r->n_runs++] = (struct view_run){
		.page = page,
		.count = count,
		.mapping = (uint32_t)(m - r->view.mappings),
		.state = state,
	};
	return 0;
}

/* As many as there is room for; the answer says where to go on. */
static int fill_runs(struct examination *e)
{
	const struct process_view *v = &e->result->view;
	int r = 0;

	for (size_t i = 0; i < v->n_mappings && r >= 0; i++)
		r = view_walk(v, &v->mappings[i], e->question->range, add_run, e);
	return e->result->runs_end > 0 ? 0 : r;
}

/* Each word at its own place, as in /proc/PID/pagemap; the rest of the file is a hole. */
struct words {
	int fd;
	bool privileged;
	uint64_t end; /* behind the last word */
};

/* So many are a page of the file. */
#define PART_WORDS 512

static int write_part(const struct words *w, uint64_t page, size_t n, const uint64_t *words)
{
	uint64_t part[PART_WORDS], any = 0;
	size_t want = n * sizeof(*words), done = 0;

	for (size_t i = 0; i < n; i++) {
		/* Frames and slots are nobody else's business, as the kernel has it. */
		part[i] = w->privileged ? words[i] : words[i] & ~PAGEMAP_FRAME_MASK;
		any |= part[i];
	}
	/* Mappings may be of nothing and without end: the client keeps the file, which is ours. */
	while (any && done < want) {
		ssize_t r = pwrite(w->fd, (const char *)part + done, want - done,
				   (off_t)(page * sizeof(*words) + done));

		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (size_t)r;
	}
	return 0;
}

static int write_words(void *context, uint64_t page, size_t n, const uint64_t *words)
{
	struct words *w = context;
	int r = 0;

	w->end = MAX(w->end, page + n);
	for (size_t i = 0, part; i < n && r >= 0; i += part) {
		part = MIN(n - i, PART_WORDS - (size_t)((page + i) % PART_WORDS));
		r = write_part(w, page + i, part, words + i);
	}
	return r;
}

/* Only then can what lies between mappings be told too. */
static bool has_end(const struct question *q)
{
	return q->have_range && q->range.count != UINT64_MAX;
}

static uint64_t count_words(const struct examination *e)
{
	const struct process_view *v = &e->result->view;
	uint64_t n = 0;

	if (has_end(e->question))
		return e->question->range.count;
	for (size_t i = 0; i < v->n_mappings; i++)
		n += view_mapping_crop(v, &v->mappings[i], e->question->range).count;
	return n;
}

static int fill_words(struct examination *e)
{
	struct result *result = e->result;
	struct words w = {.privileged = e->access->privileged};
	int r = 0;

	if (count_words(e) > WORDS_MAX)
		return -EFBIG;
	/* Behind it places in the file would begin anew. */
	if (has_end(e->question) &&
	    e->question->range.first > ADDRESS_PAGES(&result->view) - e->question->range.count)
		return -ERANGE;
	result->words_fd = memfd_create("shmstate-pagemap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (result->words_fd < 0)
		return -errno;
	w.fd = result->words_fd;
	if (e->access->privileged)
		r = process_view_locate(&result->view, &e->worker->prober, &result->discovery);
	if (r >= 0)
		r = view_write_words(&result->view, e->question->range, has_end(e->question),
				     write_words, &w, &result->undetermined);
	if (r >= 0 && ftruncate(w.fd, (off_t)(w.end * sizeof(uint64_t))) < 0)
		r = -errno;
	if (r >= 0 &&
	    fcntl(w.fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r;
}

void examine_view(struct examination *e)
{
	struct result *result = e->result;
	int r = build(e);

	if (r >= 0)
		r = e->question->encoding == ENCODING_FILE_DESCRIPTOR ? fill_words(e)
								      : fill_runs(e);
	/* It would hold the process's address space for as long as the answer is being read. */
	closep(&result->view.pagemap_fd);
	result->view.pagemap_fd = -1;
	if (r == -ESRCH || r == -ENOENT)
		errors_no_process(result, e->question->selector.pid);
	else if (r == -ERANGE)
		errors_out_of_range(result, ADDRESS_PAGES(&result->view));
	else if (r == -EFBIG)
		errors_too_large(result, WORDS_MAX * sizeof(uint64_t));
	else if (r < 0)
		errors_fail(result, r);
}
