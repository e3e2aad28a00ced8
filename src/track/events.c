/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "track/events-inside.h"
#include "util/array.h"
#include "util/util.h"

static void *map_array(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void load(struct events *e, enum events_level limit)
{
	for (enum events_level level = limit; level > EVENTS_NONE; level--) {
		e->errors[level] = events_load(level, &e->kernel);
		if (e->errors[level] == 0) {
			e->level = level;
			return;
		}
	}
}

int events_new(enum events_level limit, struct events **ret)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	for (int i = 0; i < TRACK_WRITERS; i++)
		e->links[i] = -1;
	load(e, limit);
	*ret = e;
	return 0;
}

enum events_level events_level(const struct events *e)
{
	return e->level;
}

int events_error(const struct events *e, enum events_level level)
{
	return e->errors[level];
}

/* ---- attaching --------------------------------------------------------------------------------
 */

static void detach(struct events *e)
{
	for (int i = 0; i < TRACK_WRITERS; i++) {
		closep(&e->links[i]);
		e->links[i] = -1;
	}
	ring_buffer__free(e->ring);
	e->ring = NULL;
	if (e->attached)
		e->lost += events_sum_lost(e);
	if (e->batches)
		munmap(e->batches, events_batches(e) * sizeof(*e->batches));
	e->batches = NULL;
	e->attached = false;
}

static int attach_programs(struct events *e)
{
	for (int i = 0; i < TRACK_WRITERS; i++) {
		if (e->kernel.programs[i] < 0)
			continue;
		e->links[i] = events_attach(e->kernel.programs[i]);
		if (e->links[i] < 0)
			return e->links[i];
	}
	return 0;
}

static int attach(struct events *e)
{
	int r = 0;

	if (e->attached || e->level == EVENTS_NONE)
		return 0;
	e->batches = map_array(e->kernel.batches, events_batches(e) * sizeof(*e->batches));
	if (!e->batches)
		r = -errno;
	if (r >= 0)
		r = events_open_ring(e);
	if (r >= 0)
		r = attach_programs(e);
	if (r < 0) {
		detach(e);
		return r;
	}
	e->attached = true;
	return 0;
}

static void detach_if_idle(struct events *e)
{
	if (e->n_watches == 0 && e->all == 0)
		detach(e);
}

bool events_attached(const struct events *e)
{
	return e->attached;
}

int events_fd(const struct events *e)
{
	return e->level == EVENTS_NONE ? -1 : e->kernel.ring;
}

/* ---- watching ---------------------------------------------------------------------------------
 */

struct watch *events_find(const struct events *e, uint64_t inode)
{
	for (size_t i = 0; i < e->n_watches; i++)
		if (e->watches[i].inode == inode)
			return &e->watches[i];
	return NULL;
}

int events_near(const struct events *e, uint64_t inode)
{
	for (int k = 0; k < TRACK_NEAR; k++)
		if (e->near[k] == inode)
			return k;
	return -1;
}

static void store(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

/*
 * What each batch has for itself. To record all comes first, and is given up last. Runs end, for
 * they are of what was watched until now.
 */
static void tell_batches(struct events *e, bool all)
{
	for (size_t i = 0; i < events_batches(e); i++) {
		struct track_batch *b = &e->batches[i];

		if (all)
			store(&b->all, 1);
		for (int k = 0; k < TRACK_NEAR; k++) {
			store(&b->near[k], e->near[k]);
			if (e->near[k])
				store(&b->n_near, MAX(b->n_near, (uint64_t)k + 1));
		}
		if (!all)
			store(&b->all, 0);
	}
	events_end_runs(e);
}

static void search_near(struct events *e, struct watch *w)
{
	int place = events_near(e, w->inode);

	if (place >= 0)
		return;
	place = events_near(e, 0);
	w->base = events_sum_near(e, place);
	e->near[place] = w->inode;
}

/*
 * Which objects the tracepoint's program is to search; if they are too many, none. Each keeps its
 * place: one that moved might be passed by.
 */
static void choose_near(struct events *e)
{
	bool many = e->n_watches > TRACK_NEAR;

	for (int k = 0; k < TRACK_NEAR; k++)
		if (many || !events_find(e, e->near[k]))
			e->near[k] = 0;
	for (size_t i = 0; i < e->n_watches; i++) {
		if (many)
			e->watches[i].uncounted = true;
		else
			search_near(e, &e->watches[i]);
	}
	tell_batches(e, many || e->all > 0);
}

static void tell_programs(struct events *e)
{
	if (e->attached && e->level == EVENTS_SWAP_OUT)
		choose_near(e);
	else if (e->attached)
		tell_batches(e, e->all > 0);
}

/* By inode, where functions of the kernel tell it. */
static int tell_object(struct events *e, uint64_t inode)
{
	_cleanup_free_ struct track_object *none = NULL;

	if (e->level != EVENTS_ALL)
		return 0;
	none = calloc(e->kernel.cpus, sizeof(*none));
	if (!none)
		return -ENOMEM;
	return bpf_map_update_elem(e->kernel.objects, &inode, none, BPF_ANY) < 0 ? -errno : 0;
}

static void untell_object(struct events *e, uint64_t inode)
{
	if (e->level == EVENTS_ALL)
		bpf_map_delete_elem(e->kernel.objects, &inode);
}

static void forget_last(struct events *e)
{
	untell_object(e, e->watches[e->n_watches - 1].inode);
	e->n_watches--;
}

int events_watch(struct events *e, uint64_t inode)
{
	struct watch *w = events_find(e, inode);
	int r;

	if (w) {
		w->uses++;
		return 0;
	}
	r = ARRAY_RESERVE(&e->watches, &e->allocated, e->n_watches);
	if (r >= 0)
		r = tell_object(e, inode);
	if (r < 0)
		return r;
	e->watches[e->n_watches++] = (struct watch){.inode = inode, .uses = 1};
	r = attach(e);
	if (r < 0) {
		forget_last(e);
		return r;
	}
	tell_programs(e);
	return 0;
}

void events_unwatch(struct events *e, uint64_t inode)
{
	struct watch *w = events_find(e, inode), last;

	if (!w || --w->uses > 0)
		return;
	last = e->watches[e->n_watches - 1];
	e->watches[e->n_watches - 1] = *w;
	*w = last;
	forget_last(e);
	tell_programs(e);
	detach_if_idle(e);
}

int events_watch_all(struct events *e)
{
	int r = attach(e);

	if (r < 0)
		return r;
	e->all++;
	tell_programs(e);
	return 0;
}

void events_unwatch_all(struct events *e)
{
	if (e->all == 0)
		return;
	e->all--;
	tell_programs(e);
	detach_if_idle(e);
}

void events_set_drop(struct events *e, unsigned every)
{
	e->drop_every = every;
	if (e->attached)
		events_end_runs(e);
	for (size_t i = 0; e->attached && i < events_batches(e); i++)
		store(&e->batches[i].drop_every, every);
}

struct events *events_free(struct events *e)
{
	if (!e)
		return NULL;
	detach(e);
	if (e->level != EVENTS_NONE)
		events_unload(&e->kernel);
	free(e->watches);
	free(e);
	return NULL;
}
