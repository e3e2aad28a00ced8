/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/raw.h"
#include "util/text.h"

struct raw_writer {
	const char *file; /* NULL: to stdout, in sequence */
	int fd;
	bool began;
};

static int begin(void *context)
{
	struct raw_writer *w = context;

	if (!w->file && isatty(STDOUT_FILENO))
		return failed("--format=raw writes binary data: send it to a file or a pipe");
	if (w->file) {
		w->fd = open(w->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (w->fd < 0)
			return failed("%s: %s", w->file, strerror(errno));
	}
	w->began = true;
	return 0;
}

/* To a file: each at its own place. */
static int write_words(void *context, uint64_t page, size_t n, const uint64_t *words)
{
	const struct raw_writer *w = context;
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

int raw_print(struct source *s, const struct options *o, struct page_range range,
	      bool *ret_answered)
{
	struct raw_writer w = {.file = o->write_file, .fd = -1};
	struct word_sink sink = {.begin = begin, .words = write_words, .context = &w};
	uint64_t unsure = 0;
	int error = 0, r = source_words(s, range, o->range != NULL, &sink, &unsure, &error);

	if (w.fd >= 0 && close(w.fd) < 0 && error >= 0)
		error = -errno;
	*ret_answered = w.began;
	if (r != 0)
		return r;
	if (error < 0)
		return failed("%s: %s", o->write_file ? o->write_file : "standard output",
			      text_error(error));
	if (unsure > 0)
		return incomplete("%" PRIu64 " pages not determined: their swap bit is not set",
				  unsure);
	return 0;
}
