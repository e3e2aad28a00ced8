/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/uio.h>

#include "lib/shmstate/delta.h"
#include "model/delta.h"
#include "serve/delta-file.h"
#include "serve/map-file.h"
#include "util/array.h"
#include "util/util.h"

/* Two numbers of 64 bits, seven bits a byte, and a byte. */
#define RECORD_BYTES_MAX 21

/* Counts that a record's byte can tell. */
#define SHORT_PAGES 3

struct records {
	unsigned char *items;
	size_t n, n_allocated;
	uint64_t n_records;
	uint64_t pages;
	uint64_t end; /* of the last one: page */
};

static void put_number(struct records *to, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		to->items[to->n++] = (unsigned char)(n | 0x80);
	to->items[to->n++] = (unsigned char)n;
}

/* Pages that lie beyond one of the two ends have one state: it stands for both. */
static unsigned char byte_of(const struct change *c)
{
	int from = c->from == CHANGE_BEYOND ? c->to : c->from;
	int to = c->to == CHANGE_BEYOND ? c->from : c->to;
	uint64_t length = MIN(c->count - 1, (uint64_t)SHORT_PAGES);

	return (unsigned char)(from | to << 3 | (int)length << 6);
}

static int put_record(struct records *to, const struct change *c)
{
	int r = ARRAY_RESERVE(&to->items, &to->n_allocated, to->n + RECORD_BYTES_MAX);

	if (r < 0)
		return r;
	put_number(to, c->first - to->end);
	to->items[to->n++] = byte_of(c);
	if (c->count > SHORT_PAGES)
		put_number(to, c->count - SHORT_PAGES - 1);
	to->end = c->first + c->count;
	to->pages += c->count;
	to->n_records++;
	return 0;
}

struct delta delta_since(const struct generation *since, const struct snapshot *now,
			 struct page_range asked, uint64_t first)
{
	struct delta d = delta_seek(&since->snapshot, now, MAX(first, now->first));

	if (asked.count != UINT64_MAX)
		delta_stop_at(&d, asked.first + asked.count);
	return d;
}

static int make_records(const struct result *r, struct page_range asked, page_state_mask states,
			struct records *to)
{
	struct delta d = delta_since(r->since, &r->snapshot, asked, asked.first);
	struct change c;
	int error = 0;

	to->end = r->snapshot.first;
	while (error >= 0 && delta_next(&d, &c))
		if (change_concerns(&c, states))
			error = put_record(to, &c);
	return error;
}

static struct shmstate_delta_header make_header(const struct result *r, page_state_mask states,
						const struct records *records)
{
	const struct snapshot *s = &r->snapshot;
	struct shmstate_delta_header h = {
		.magic = SHMSTATE_DELTA_MAGIC,
		.version = SHMSTATE_DELTA_VERSION,
		.flags = map_file_flags(r, states),
		.size = sizeof(h) + records->n,
		.page_size = s->page_size,
		.object_size = s->size,
		.old_object_size = r->since->snapshot.size,
		.first = s->first,
		.count = s->count,
		.moved = s->moved,
		.since = r->since->number,
		.generation = s->generation,
		.changed = records->pages,
		.records = sizeof(h),
		.n_records = records->n_records,
	};

	for (int i = 0; i < PAGE_STATE_MAX; i++)
		h.counts[i] = s->counts[i];
	return h;
}

int delta_file_make(const struct result *r, struct page_range asked, page_state_mask states)
{
	struct shmstate_delta_header header;
	struct records records = {0};
	int fd = make_records(r, asked, states, &records);

	if (fd >= 0) {
		header = make_header(r, states, &records);
		fd = map_file_seal(
			"shmstate-delta",
			(struct iovec[]){{&header, sizeof(header)}, {records.items, records.n}}, 2);
	}
	free(records.items);
	return fd;
}
