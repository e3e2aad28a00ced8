/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/shmstate/shmstate.h"
#include "lib/sealed.h"
#include "util/util.h"

/* Seven bits each of 64. */
#define NUMBER_BYTES 10

struct shmstate_delta {
	void *memory;                        /* header.size bytes; MAP_FAILED: none */
	struct shmstate_delta_header header; /* as it was checked */
	const unsigned char *records;
	uint64_t n_bytes;
	uint64_t common; /* pages from here on only one of the two has */
	uint64_t end;    /* behind them */
};

static uint64_t pages_of(uint64_t size, uint64_t page_size)
{
	return size / page_size + (size % page_size != 0);
}

static int check_header(const struct shmstate_delta_header *h, uint64_t file_size)
{
	uint64_t pages;

	if (h->magic != SHMSTATE_DELTA_MAGIC)
		return -EBADMSG;
	if (h->version != SHMSTATE_DELTA_VERSION)
		return -EPROTONOSUPPORT;
	if (h->size < sizeof(*h) || h->size > file_size || h->records < sizeof(*h) ||
	    h->records > h->size)
		return -EBADMSG;
	if (h->page_size == 0 || (h->page_size & (h->page_size - 1)) != 0)
		return -EBADMSG;
	pages = pages_of(h->object_size, h->page_size);
	return h->first > pages || h->count > pages - h->first ? -EBADMSG : 0;
}

static int map_memory(int fd, struct shmstate_delta *d)
{
	struct shmstate_delta_header *h = &d->header;
	uint64_t size, pages, old_pages;
	int r = sealed_read(fd, h, sizeof(*h), &size);

	if (r >= 0)
		r = check_header(h, size);
	if (r >= 0)
		r = sealed_map(fd, h->size, &d->memory);
	if (r < 0)
		return r;
	d->records = (const unsigned char *)d->memory + h->records;
	d->n_bytes = h->size - h->records;
	pages = pages_of(h->object_size, h->page_size);
	old_pages = pages_of(h->old_object_size, h->page_size);
	d->common = MIN(pages, old_pages);
	d->end = MAX(pages, old_pages);
	return 0;
}

static bool take_number(const struct shmstate_delta *d, uint64_t *at, uint64_t *ret)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < NUMBER_BYTES && *at < d->n_bytes; i++) {
		uint64_t byte = d->records[(*at)++];

		n |= (byte & 0x7f) << 7 * i;
		if (!(byte & 0x80)) {
			*ret = n;
			return true;
		}
	}
	return false;
}

/* What lies beyond one of the two ends has one state; in which of the two, the sizes tell. */
static void set_states(const struct shmstate_delta *d, unsigned byte, struct shmstate_change *ret)
{
	bool grown = d->header.object_size > d->header.old_object_size;

	ret->from = (int)(byte & 7);
	ret->to = (int)(byte >> 3 & 7);
	if (ret->first < d->common)
		return;
	if (grown)
		ret->from = SHMSTATE_BEYOND;
	else
		ret->to = SHMSTATE_BEYOND;
}

/* The record at place->offset. Returns false if there is none, or no good one. */
static bool take_record(const struct shmstate_delta *d, struct shmstate_place *place,
			struct shmstate_change *ret)
{
	uint64_t gap, more = 0, at = place->offset;
	uint64_t page = place->page > d->header.first ? place->page : d->header.first;
	unsigned byte;

	if (!take_number(d, &at, &gap) || at >= d->n_bytes)
		return false;
	byte = d->records[at++];
	if (byte >> 6 == 3 && !take_number(d, &at, &more))
		return false;
	if (page > d->end || gap > d->end - page || more > d->end)
		return false;
	ret->first = page + gap;
	ret->count = (byte >> 6) + 1 + more;
	if (ret->count > d->end - ret->first)
		return false;
	set_states(d, byte, ret);
	place->offset = at;
	place->page = ret->first + ret->count;
	return true;
}

static int check_records(const struct shmstate_delta *d)
{
	struct shmstate_place place = {0, 0};
	uint64_t n = 0, pages = 0;
	struct shmstate_change c;

	for (; place.offset < d->n_bytes; n++, pages += c.count) {
		if (!take_record(d, &place, &c))
			return -EBADMSG;
		/* One state for two means: beyond. Elsewhere something has changed. */
		if (c.first < d->common && (c.from == c.to || c.first + c.count > d->common))
			return -EBADMSG;
	}
	return n == d->header.n_records && pages == d->header.changed ? 0 : -EBADMSG;
}

int shmstate_delta_open(int fd, struct shmstate_delta **ret)
{
	struct shmstate_delta *d;
	int r;

	if (!ret)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->memory = MAP_FAILED;
	r = map_memory(fd, d);
	if (r >= 0)
		r = check_records(d);
	if (r < 0) {
		shmstate_delta_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

struct shmstate_delta *shmstate_delta_free(struct shmstate_delta *delta)
{
	if (!delta)
		return NULL;
	if (delta->memory != MAP_FAILED)
		munmap(delta->memory, (size_t)delta->header.size);
	free(delta);
	return NULL;
}

const struct shmstate_delta_header *shmstate_delta_header(const struct shmstate_delta *delta)
{
	return &delta->header;
}

int shmstate_delta_next(const struct shmstate_delta *delta, struct shmstate_place *place,
			struct shmstate_change *ret)
{
	if (place->offset >= delta->n_bytes)
		return 0;
	return take_record(delta, place, ret);
}
