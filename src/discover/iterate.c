/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpointer-arith" /* bpftool made it so */
#include "bpf/discover.lskel.h"
#pragma GCC diagnostic pop

#include "bpf/discover.h"
#include "discover/iterate.h"
#include "util/util.h"

/* Twice what the kernel hands out at once, and so room for any record. */
#define STREAM_BYTES 65536

#define MAGIC_SHMEM 0x01021994

struct iterators {
	struct discover_bpf *bpf;
	int holders_link;
	int mappers_link;
};

static int bpf_call(enum bpf_cmd command, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

/*
 * Nonsense is refused in any case, but the privilege is looked at first: this tells without the
 * cost of preparing programs.
 */
static bool is_privileged(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	return bpf_call(BPF_BTF_LOAD, &attr) != -EPERM;
}

int iterators_new(struct iterators **ret)
{
	struct iterators *i;
	int r;

	if (!is_privileged())
		return -EPERM;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->bpf = discover_bpf__open();
	if (!i->bpf) {
		iterators_free(i);
		return -ENOMEM;
	}
	r = discover_bpf__load(i->bpf);
	if (r == 0) {
		i->holders_link = discover_bpf__discover_holders__attach(i->bpf);
		i->mappers_link = discover_bpf__discover_mappers__attach(i->bpf);
		if (i->holders_link <= 0 || i->mappers_link <= 0)
			r = -errno;
	}
	if (r != 0) {
		iterators_free(i);
		return r < 0 ? r : -EIO;
	}
	*ret = i;
	return 0;
}

struct iterators *iterators_free(struct iterators *i)
{
	if (i && i->bpf)
		discover_bpf__destroy(i->bpf); /* the links too */
	free(i);
	return NULL;
}

/* The records of one iterator, which may be cut anywhere between two reads. */
struct stream {
	int fd;
	char *buffer;
	size_t at;   /* bytes of the buffer, consumed */
	size_t used; /* bytes of the buffer */
};

static int stream_open(struct stream *s, int link)
{
	union bpf_attr attr;
	int r;

	s->buffer = malloc(STREAM_BYTES);
	if (!s->buffer)
		return -ENOMEM;
	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)link;
	r = bpf_call(BPF_ITER_CREATE, &attr);
	if (r < 0)
		return r;
	s->fd = r;
	return 0;
}

static void stream_done(struct stream *s)
{
	closep(&s->fd);
	free(s->buffer);
}

/* Returns 1, 0 (that was all), or a negative errno. */
static int stream_fill(struct stream *s)
{
	ssize_t n;

	if (s->used == STREAM_BYTES && s->at == 0)
		return -EBADMSG; /* no record is that long */
	memmove(s->buffer, s->buffer + s->at, s->used - s->at);
	s->used -= s->at;
	s->at = 0;
	/* EAGAIN: a million mappings went by, and none was of shared memory. */
	do
		n = read(s->fd, s->buffer + s->used, STREAM_BYTES - s->used);
	while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n < 0)
		return -errno;
	s->used += (size_t)n;
	return n > 0;
}

/* The record to come, or NULL in *ret at the end. Returns 0 or a negative errno. */
static int stream_peek(struct stream *s, const struct discover_record **ret)
{
	for (;;) {
		const struct discover_record *record = (const void *)(s->buffer + s->at);
		size_t left = s->used - s->at;
		int r;

		if (left >= sizeof(*record) && record->name_size > DISCOVER_NAME_MAX)
			return -EBADMSG;
		if (left >= sizeof(*record) && left >= DISCOVER_RECORD_SIZE(record->name_size)) {
			*ret = record;
			return 0;
		}
		r = stream_fill(s);
		if (r < 0)
			return r;
		if (r == 0) {
			*ret = NULL;
			return s->used > s->at ? -EBADMSG : 0;
		}
	}
}

static void stream_next(struct stream *s, const struct discover_record *record)
{
	s->at += DISCOVER_RECORD_SIZE(record->name_size);
}

/* Several threads may show the same descriptor or mapping if the first of them has exited. */
static bool is_known(const struct object *o, const struct discover_record *r)
{
	pid_t pid = (pid_t)r->pid;

	if (r->tid == r->pid)
		return false;
	if (r->fd >= 0) {
		for (size_t i = 0; i < o->n_holders; i++)
			if (o->holders[i].pid == pid && o->holders[i].fd == r->fd)
				return true;
		return false;
	}
	for (size_t i = 0; i < o->n_mappers; i++)
		if (o->mappers[i].pid == pid && o->mappers[i].start == r->start)
			return true;
	return false;
}

static int add(const struct discovery *d, struct object *o, const struct discover_record *r)
{
	struct object_holder holder = {.pid = (pid_t)r->pid, .fd = r->fd};
	struct object_mapper mapper = {
		.pid = (pid_t)r->pid,
		.start = r->start,
		.end = r->end,
		.offset = r->offset * d->caps->page_size,
		.shared = r->shared,
	};

	if (is_known(o, r))
		return 0;
	return r->fd >= 0 ? object_add_holder(o, &holder) : object_add_mapper(o, &mapper);
}

static int note(struct discovery *d, const struct discover_record *r)
{
	struct device device = {
		.dev = makedev(r->dev >> 20, r->dev & 0xfffff),
		.magic = r->magic,
		.block_size = r->block_size,
	};
	const char *name = r->name_size > 0 ? (const char *)(r + 1) : "";
	struct sighting s = {
		.id = {.dev = device.dev, .ino = (ino_t)r->ino},
		.link = name,
		.have_size = true,
		.size = r->size,
	};
	struct object *o;
	int kind, error;

	if (r->name_size > 0 && name[r->name_size - 1] != '\0')
		return -EBADMSG;
	kind = device_object_kind(&device, d->caps->shmem_dev, name);
	if (kind < 0)
		return 0;
	s.kind = (enum object_kind)kind;
	s.id.have_generation = r->magic == MAGIC_SHMEM;
	s.id.generation = s.id.have_generation ? r->generation : 0;
	s.leased = r->leased;
	s.deleted = s.kind == OBJECT_TMPFS && r->n_links == 0;
	s.page_size = s.kind == OBJECT_HUGETLB ? device.block_size : d->caps->page_size;
	error = discovery_note(d, &s, &o);
	return error < 0 ? error : add(d, o, r);
}

/* Both come by thread, ascending. Of each first the descriptors, then the mappings. */
static int merge(struct discovery *d, struct stream *holders, struct stream *mappers)
{
	for (;;) {
		const struct discover_record *holder, *mapper;
		int r = stream_peek(holders, &holder);

		if (r >= 0)
			r = stream_peek(mappers, &mapper);
		if (r < 0 || (!holder && !mapper))
			return r;
		if (holder && (!mapper || holder->tid <= mapper->tid)) {
			r = note(d, holder);
			stream_next(holders, holder);
		} else {
			r = note(d, mapper);
			stream_next(mappers, mapper);
		}
		if (r < 0)
			return r;
	}
}

int discover_iterate(struct discovery *d, struct iterators *i)
{
	struct stream holders = {.fd = -1}, mappers = {.fd = -1};
	int r;

	r = stream_open(&holders, i->holders_link);
	if (r >= 0)
		r = stream_open(&mappers, i->mappers_link);
	if (r >= 0)
		r = merge(d, &holders, &mappers);
	stream_done(&holders);
	stream_done(&mappers);
	return r;
}
