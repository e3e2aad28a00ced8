/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/raw.h"
#include "util/text.h"
#include "probe/pagemap.h"

#define CHUNK_PAGES 4096

/* Where the words go: stdout in sequence, or fd at their own place. */
struct raw_writer {
	const struct process_view *view;
	int fd; /* -1: stdout */
	uint64_t unsure;
};

static int write_words(struct raw_writer *w, uint64_t page, size_t n, const uint64_t *words)
{
	size_t want = n * sizeof(*words), done = 0;

	if (w->fd < 0)
		return fwrite(words, sizeof(*words), n, stdout) == n ? 0 : -EIO;
	while (done < want) {
		ssize_t r = pwrite(w->fd, (const char *)words + done, want - done,
				   (off_t)(page * sizeof(*words) + done));

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -EIO;
		done += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

/* Behind the end of the address space there is nothing to read; of a process that has gone neither.
 */
static bool is_alive(const struct process_view *v)
{
	uint64_t word;

	return pagemap_read(v->pagemap_fd, 0, 1, &word) == 0;
}

/* Pages of one mapping, or (m == NULL) of none of ours: the kernel's words as they are. */
static int print_part(struct raw_writer *w, const struct view_mapping *m, uint64_t first,
		      uint64_t end)
{
	int r = 0;

	while (first < end && r >= 0) {
		uint64_t words[CHUNK_PAGES];
		size_t n = MIN(end - first, CHUNK_PAGES);

		if (m)
			r = view_read_words(w->view, m, first, n, words, &w->unsure);
		else
			r = pagemap_read(w->view->pagemap_fd, first, n, words);
		if (!m && r == -ESRCH && is_alive(w->view)) {
			memset(words, 0, sizeof(words));
			r = 0;
		}
		if (r >= 0)
			r = write_words(w, first, n, words);
		first += n;
	}
	return r;
}

static int print_all(struct raw_writer *w, struct page_range range, bool gaps)
{
	const struct process_view *v = w->view;
	uint64_t at = range.first;
	int r = 0;

	for (size_t i = 0; i < v->n_mappings && r >= 0; i++) {
		struct page_range part = view_mapping_crop(v, &v->mappings[i], range);

		if (gaps)
			r = print_part(w, NULL, at, part.first);
		if (r >= 0)
			r = print_part(w, &v->mappings[i], part.first, part.first + part.count);
		at = part.first + part.count;
	}
	if (gaps && r >= 0)
		r = print_part(w, NULL, at, range.first + range.count);
	return r;
}

int raw_print(const struct process_view *v, const struct options *o, struct page_range range)
{
	struct raw_writer w = {.view = v, .fd = -1};
	int r;

	if (!o->write_file && isatty(STDOUT_FILENO))
		return failed("--format=raw writes binary data: send it to a file or a pipe");
	if (o->write_file) {
		w.fd = open(o->write_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (w.fd < 0)
			return failed("%s: %s", o->write_file, strerror(errno));
	}
	r = print_all(&w, range, o->range != NULL);
	if (w.fd >= 0 && close(w.fd) < 0 && r >= 0)
		r = -errno;
	if (r < 0)
		return failed("%s: %s", o->write_file ? o->write_file : "standard output",
			      text_error(r));
	if (w.unsure > 0)
		return incomplete("%" PRIu64 " pages not determined: their swap bit is not set",
				  w.unsure);
	return 0;
}
