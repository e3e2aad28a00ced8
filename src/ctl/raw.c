/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/raw.h"
#include "util/text.h"
#include "view/words.h"

/* stdout in sequence, or a file at their own place. */
static int write_words(void *context, uint64_t page, size_t n, const uint64_t *words)
{
	size_t want = n * sizeof(*words), done = 0;
	int fd = *(const int *)context;

	if (fd < 0)
		return fwrite(words, sizeof(*words), n, stdout) == n ? 0 : -EIO;
	while (done < want) {
		ssize_t r = pwrite(fd, (const char *)words + done, want - done,
				   (off_t)(page * sizeof(*words) + done));

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -EIO;
		done += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

int raw_print(const struct process_view *v, const struct options *o, struct page_range range)
{
	uint64_t unsure = 0;
	int r, fd = -1;

	if (!o->write_file && isatty(STDOUT_FILENO))
		return failed("--format=raw writes binary data: send it to a file or a pipe");
	if (o->write_file) {
		fd = open(o->write_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0)
			return failed("%s: %s", o->write_file, strerror(errno));
	}
	r = view_write_words(v, range, o->range != NULL, write_words, &fd, &unsure);
	if (fd >= 0 && close(fd) < 0 && r >= 0)
		r = -errno;
	if (r < 0)
		return failed("%s: %s", o->write_file ? o->write_file : "standard output",
			      text_error(r));
	if (unsure > 0)
		return incomplete("%" PRIu64 " pages not determined: their swap bit is not set",
				  unsure);
	return 0;
}
