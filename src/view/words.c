/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/pagemap.h"
#include "util/stop.h"
#include "util/util.h"
#include "view/words.h"

#define CHUNK_PAGES 4096

struct writer {
	const struct process_view *view;
	view_write write;
	void *context;
	uint64_t unsure;
};

/* Behind the end of the address space there is nothing to read; of a process that has gone neither.
 */
static bool is_alive(const struct process_view *v)
{
	uint64_t word;

	return pagemap_read(v->pagemap_fd, 0, 1, &word) == 0;
}

/* Pages of one mapping, or (m == NULL) of none of ours: the kernel's words as they are. */
static int write_part(struct writer *w, const struct view_mapping *m, uint64_t first, uint64_t end)
{
	int r = 0;

	while (first < end && r >= 0) {
		uint64_t words[CHUNK_PAGES];
		size_t n = MIN(end - first, CHUNK_PAGES);

		r = stop_asked();
		if (r >= 0 && m)
			r = view_read_words(w->view, m, first, n, words, &w->unsure);
		else if (r >= 0)
			r = pagemap_read(w->view->pagemap_fd, first, n, words);
		if (!m && r == -ESRCH && is_alive(w->view)) {
			memset(words, 0, sizeof(words));
			r = 0;
		}
		if (r >= 0)
			r = w->write(w->context, first, n, words);
		first += n;
	}
	return r;
}

int view_write_words(const struct process_view *v, struct page_range range, bool gaps,
		     view_write write, void *context, uint64_t *ret_unsure)
{
	struct writer w = {.view = v, .write = write, .context = context};
	uint64_t at = range.first;
	int r = 0;

	for (size_t i = 0; i < v->n_mappings && r >= 0; i++) {
		struct page_range part = view_mapping_crop(v, &v->mappings[i], range);

		if (gaps)
			r = write_part(&w, NULL, at, part.first);
		if (r >= 0)
			r = write_part(&w, &v->mappings[i], part.first, part.first + part.count);
		at = part.first + part.count;
	}
	if (gaps && r >= 0)
		r = write_part(&w, NULL, at, range.first + range.count);
	if (r >= 0)
		*ret_unsure += w.unsure;
	return r;
}
