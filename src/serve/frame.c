/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "serve/frame.h"
#include "util/util.h"

void frame_done(struct frame *f)
{
	free(f->data);
	*f = (struct frame){0};
}

size_t frame_part(const char *bytes, size_t n, bool *ret_complete)
{
	const char *end = memchr(bytes, '\0', n);

	*ret_complete = end;
	return end ? (size_t)(end - bytes) + 1 : n;
}

size_t frame_count(const char *bytes, size_t n)
{
	size_t count = 0;
	bool complete;

	while (n > 0) {
		size_t part = frame_part(bytes, n, &complete);

		count += complete;
		bytes += part;
		n -= part;
	}
	return count;
}

static int reserve(struct frame *f, size_t length)
{
	size_t allocated = MAX(f->n_allocated, (size_t)512);
	char *data;

	if (length <= f->n_allocated)
		return 0;
	while (allocated < length)
		allocated *= 2;
	data = realloc(f->data, allocated);
	if (!data)
		return -ENOMEM;
	f->data = data;
	f->n_allocated = allocated;
	return 0;
}

int frame_append(struct frame *f, const char *bytes, size_t n, size_t limit)
{
	bool complete;
	int r;

	n = frame_part(bytes, n, &complete);
	if (f->length + n - complete > limit)
		return -EMSGSIZE;
	r = reserve(f, f->length + n + 1);
	if (r < 0)
		return r;
	memcpy(f->data + f->length, bytes, n);
	f->length += n - complete;
	f->data[f->length] = '\0';
	return complete;
}
