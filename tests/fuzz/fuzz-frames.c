/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes that come in parts, as the service puts them together. The first byte says how long the
 * parts are at most, the second how long a message may be; the messages must be those that a search
 * for NULs finds, however they were cut.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/frame.h"
#include "serve/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void parse(const struct frame *f)
{
	struct call c;

	/* the string ends where the message does, for sanitizers to see a step too far */
	char *copy = strdup(f->data);

	require(copy && strlen(f->data) == f->length);
	if (call_parse(copy, f->length, &c) == 0) {
		require(c.method && c.method[0]);
		require(!c.parameters || json_object_is_type(c.parameters, json_type_object));
		require(!(c.more && c.oneway));
		call_done(&c);
	}
	free(copy);
}

/* A number of bytes that hangs on what they are, from 1 up to most. */
static size_t part_of(const char *bytes, size_t n, size_t most)
{
	size_t part = 1 + (size_t)(unsigned char)bytes[0] % most;

	return part < n ? part : n;
}

/* Returns how many messages were found, or -1 if one was too long, as the service would do it. */
static int feed(const char *bytes, size_t n, size_t most, size_t limit)
{
	struct frame f = {0};
	const char *message = bytes, *end = bytes + n;
	int found = 0, r = 0;

	while (bytes < end && r >= 0) {
		size_t left = part_of(bytes, (size_t)(end - bytes), most);

		while (left > 0) {
			bool complete;
			size_t part = frame_part(bytes, left, &complete);

			require(part > 0 && part <= left);
			r = frame_append(&f, bytes, part, limit);
			if (r < 0)
				break;
			bytes += part;
			left -= part;
			require(r == complete && f.length <= limit);
			if (!complete)
				continue;
			require(f.length == (size_t)(bytes - message) - 1 &&
				!memcmp(f.data, message, f.length + 1));
			parse(&f);
			frame_done(&f);
			f = (struct frame){0};
			message = bytes;
			found++;
		}
	}
	frame_done(&f);
	require(r >= 0 || r == -EMSGSIZE);
	return r < 0 ? -1 : found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t most, limit;
	int found;

	if (size < 2)
		return 0;
	most = 1 + data[0];
	limit = data[1] < 128 ? 1 + data[1] : (size_t)1 << 20;
	data += 2;
	size -= 2;
	found = feed((const char *)data, size, most, limit);
	require(found == feed((const char *)data, size, 256, limit));
	require(found < 0 || (size_t)found == frame_count((const char *)data, size));
	return 0;
}
