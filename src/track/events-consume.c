/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "track/events-inside.h"
#include "util/util.h"

/* How often a batch is tried that the ring buffer had no room for. */
#define FLUSH_TRIES 4

/* A batch, from its writer on. */
struct message {
	uint64_t writer;
	struct track_record records[TRACK_RECORDS];
};

static const enum event_kind kinds[TRACK_WRITERS] = {
	[TRACK_SWAP_OUT] = EVENT_SWAP_OUT, [TRACK_SWAP_IN] = EVENT_SWAP_IN,
	[TRACK_INSERT] = EVENT_INSERT,     [TRACK_REMOVE] = EVENT_REMOVE,
	[TRACK_SWAPOFF] = EVENT_SWAPOFF,   [TRACK_COLLAPSE] = EVENT_INSERT,
};

bool events_tells(const struct events *e, enum event_kind kind)
{
	for (int i = 0; i < TRACK_WRITERS && e->level != EVENTS_NONE; i++)
		if (kinds[i] == kind && e->kernel.programs[i] >= 0)
			return true;
	return false;
}

static int take_message(void *context, void *data, size_t size)
{
	const struct message *m = data;
	struct events *e = context;
	size_t n = (size - sizeof(m->writer)) / sizeof(m->records[0]);

	for (size_t i = 0; i < n && e->visit; i++) {
		uint64_t count = m->records[i].span >> TRACK_FIRST_BITS;
		struct event event = {
			.kind = kinds[m->writer % TRACK_WRITERS],
			.inode = m->records[i].inode,
			.first = m->records[i].span & TRACK_FIRST_MAX,
			.count = count == TRACK_TO_END ? UINT64_MAX : count,
		};

		e->visit(e->context, &event);
		e->n_visited++;
	}
	return 0;
}

int events_open_ring(struct events *e)
{
	e->ring = ring_buffer__new(e->kernel.ring, take_message, e, NULL);
	if (!e->ring)
		return -errno;
	e->visit = NULL;
	ring_buffer__consume(e->ring);
	for (size_t i = 0; i < events_batches(e); i++)
		e->batches[i] = (struct track_batch){.armed = 1, .drop_every = e->drop_every};
	memset(e->near, 0, sizeof(e->near));
	return 0;
}

/*
 * On the CPU whose batch it is, where it interrupts the one who writes there. A CPU that has gone
 * (ENXIO) has no writer. Returns 1 if there is no room in the ring buffer.
 */
static int flush(const struct events *e, size_t batch, bool wake)
{
	struct track_flush_args args = {.batch = batch, .wake = wake};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args),
		    .flags = BPF_F_TEST_RUN_ON_CPU, .cpu = (uint32_t)(batch / TRACK_WRITERS));
	int r = bpf_prog_test_run_opts(e->kernel.flush, &options);

	if (r == -ENXIO) {
		options.flags = 0;
		options.cpu = 0;
		r = bpf_prog_test_run_opts(e->kernel.flush, &options);
	}
	return r < 0 ? r : (int)options.retval;
}

static bool is_waiting(const struct events *e, size_t batch)
{
	return __atomic_load_n(&e->batches[batch].n, __ATOMIC_ACQUIRE) > 0;
}

void events_end_runs(const struct events *e)
{
	for (size_t i = TRACK_SWAP_OUT; i < events_batches(e); i += TRACK_WRITERS)
		if (is_waiting(e, i))
			(void)flush(e, i, true);
}

/* What came before the call: batches go through the ring buffer, which may take more than once. */
static int consume_all(struct events *e)
{
	int r = ring_buffer__consume(e->ring);

	for (size_t i = 0; i < events_batches(e) && r >= 0; i++) {
		r = is_waiting(e, i) ? flush(e, i, false) : 0;
		for (int k = 0; k < FLUSH_TRIES && r == 1; k++) {
			ring_buffer__consume(e->ring);
			r = flush(e, i, false);
		}
	}
	return r < 0 ? r : ring_buffer__consume(e->ring);
}

/*
 * From here on the next event wakes. One that came since a batch was looked at either finds us
 * armed, or is found by us: see put() in track.bpf.h.
 */
static int arm(struct events *e)
{
	int r = 0;

	for (size_t i = 0; i < events_batches(e); i++)
		__atomic_store_n(&e->batches[i].armed, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (size_t i = 0; i < events_batches(e) && r >= 0; i++)
		r = is_waiting(e, i) ? flush(e, i, true) : 0;
	return r < 0 ? r : 0;
}

int events_consume(struct events *e, events_visit visit, void *context)
{
	int r;

	if (!e->attached)
		return 0;
	e->visit = visit;
	e->context = context;
	e->n_visited = 0;
	r = consume_all(e);
	if (r >= 0)
		r = arm(e);
	e->visit = NULL;
	return r < 0 ? r : e->n_visited;
}

/* A program that interrupts or preempts itself on a CPU does not run: the kernel counts that. */
static uint64_t missed(int program)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (program < 0 || bpf_obj_get_info_by_fd(program, &info, &size) < 0)
		return 0;
	return info.recursion_misses;
}

uint64_t events_sum_lost(const struct events *e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < events_batches(e); i++)
		sum += e->batches[i].lost;
	return sum;
}

uint64_t events_lost(const struct events *e)
{
	uint64_t sum = e->lost;

	if (e->level == EVENTS_NONE)
		return 0;
	if (e->attached)
		sum += events_sum_lost(e);
	for (int i = 0; i < TRACK_WRITERS; i++)
		sum += missed(e->kernel.programs[i]);
	return sum;
}

/* ---- counts -----------------------------------------------------------------------------------
 */

uint64_t events_sum_near(const struct events *e, int place)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < e->kernel.cpus; cpu++)
		sum += e->batches[cpu * TRACK_WRITERS + TRACK_SWAP_OUT].pages[place];
	return sum;
}

static int count_near(const struct events *e, const struct watch *w, struct event_counts *ret)
{
	int place = events_near(e, w->inode);

	if (w->uncounted || place < 0)
		return -EOPNOTSUPP;
	events_end_runs(e);
	*ret = (struct event_counts){0};
	ret->n[EVENT_SWAP_OUT] = events_sum_near(e, place) - w->base;
	return 0;
}

static int count_object(const struct events *e, uint64_t inode, struct event_counts *ret)
{
	_cleanup_free_ struct track_object *objects = calloc(e->kernel.cpus, sizeof(*objects));

	if (!objects)
		return -ENOMEM;
	if (bpf_map_lookup_elem(e->kernel.objects, &inode, objects) < 0)
		return -errno;
	*ret = (struct event_counts){0};
	for (unsigned cpu = 0; cpu < e->kernel.cpus; cpu++)
		for (int i = 0; i < TRACK_WRITERS; i++)
			ret->n[kinds[i]] += objects[cpu].pages[i];
	return 0;
}

int events_count(const struct events *e, uint64_t inode, struct event_counts *ret)
{
	const struct watch *w = events_find(e, inode);

	if (!w)
		return -ENOENT;
	switch (e->level) {
	case EVENTS_NONE:
	case EVENTS_LEVEL_MAX:
		break;
	case EVENTS_SWAP_OUT:
		return count_near(e, w, ret);
	case EVENTS_ALL:
		return count_object(e, inode, ret);
	}
	return -EOPNOTSUPP;
}
