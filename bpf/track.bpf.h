/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

/* What the programs that hear of changes have in common: batches, and handing them over. */

#include "kernel.bpf.h"
#include "track.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TRACK_RING_BYTES);
} ring SEC(".maps");

/* max_entries: set for the CPUs that there may be. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TRACK_WRITERS);
	__type(key, __u32);
	__type(value, struct track_batch);
} batches SEC(".maps");

static __always_inline long hand_over(struct track_batch *b, __u64 n, __u64 flags)
{
	__u64 size;

	if (n > TRACK_RECORDS)
		n = TRACK_RECORDS;
	size = MASKED(n * sizeof(struct track_record), 2047);
	if (size > sizeof(b->records))
		size = sizeof(b->records);
	return bpf_ringbuf_output(&ring, &b->writer, sizeof(b->writer) + size, flags);
}

static __always_inline void empty_batch(struct track_batch *b, __u64 n, __u64 flags)
{
	if (hand_over(b, n, flags) < 0)
		b->lost += n;
	b->n = 0;
}

/* The same object, and the page after the last of this record. */
static __always_inline bool_t continues(const struct track_record *r, __u64 inode, __u64 first,
					__u64 count)
{
	__u64 r_first = r->span & TRACK_FIRST_MAX, r_count = r->span >> TRACK_FIRST_BITS;

	return r->inode == inode && r_first + r_count == first &&
	       r_count + count <= TRACK_COUNT_MAX;
}

static __always_inline __u64 make_span(__u64 first, __u64 count)
{
	if (first >= TRACK_FIRST_MAX)
		return TRACK_FIRST_MAX | (__u64)TRACK_TO_END << TRACK_FIRST_BITS;
	return first | (count < TRACK_COUNT_MAX ? count : TRACK_TO_END) << TRACK_FIRST_BITS;
}

static __always_inline struct track_batch *batch_of(enum track_writer writer)
{
	__u32 key = bpf_get_smp_processor_id() * TRACK_WRITERS + writer;

	return bpf_map_lookup_elem(&batches, &key);
}

static __always_inline bool_t is_dropped(struct track_batch *b)
{
	if (!b->drop_every || ++b->heard < b->drop_every)
		return 0;
	b->heard = 0;
	b->lost++;
	return 1;
}

static __always_inline struct track_record *record_of(struct track_batch *b, __u64 i)
{
	i = MASKED(i, 63);
	return &b->records[i < TRACK_RECORDS ? i : 0];
}

/*
 * The first record of a batch is announced by an exchange, which is a barrier: either user space,
 * which arms first and looks at the batches then, sees it, or we see that it has armed.
 */
static __always_inline void put(struct track_batch *b, enum track_writer writer, __u64 inode,
				__u64 first, __u64 count)
{
	__u64 n = b->n;
	struct track_record *r;

	if (is_dropped(b))
		return;
	r = record_of(b, n - 1);
	if (n > 0 && continues(r, inode, first, count)) {
		r->span += count << TRACK_FIRST_BITS;
	} else {
		r = record_of(b, n);
		r->inode = inode;
		r->span = make_span(first, count);
		n++;
	}
	barrier();
	if (b->n == 0) {
		b->writer = writer;
		__sync_lock_test_and_set(&b->n, n);
	} else {
		*(volatile __u64 *)&b->n = n;
	}
	if (*(volatile __u64 *)&b->armed) {
		b->armed = 0;
		empty_batch(b, n, BPF_RB_FORCE_WAKEUP);
	} else if (n >= TRACK_RECORDS) {
		empty_batch(b, n, BPF_RB_NO_WAKEUP);
	}
}

/*
 * A run: pages of one object that go out one after the other. It begins with a page that is put as
 * any other; of those that continue it, b->next alone takes note, and one record tells of them when
 * it ends. While there is one the batch is not empty: so user space, which looks at that, asks.
 *
 * track_flush may come between any two instructions of the writer. It ends the run, and counts up
 * b->epoch, by which the writer sees that it has to begin anew. At worst pages are told twice.
 */

/* Which of near[] it was is told only if that is what it still is. */
static __always_inline void end_run(struct track_batch *b)
{
	__u64 next = b->next, run, first, k;

	if (next == 0)
		return;
	run = b->run;
	first = b->run_first;
	k = MASKED(run - 1, TRACK_NEAR - 1);
	if (run && next > first) {
		if (run <= TRACK_NEAR && b->near[k] == b->run_inode)
			b->pages[k] += next - first;
		put(b, TRACK_SWAP_OUT, b->run_inode, first, next - first);
	}
	barrier();
	b->next = 0;
	b->run = 0;
}

/* After a page was put, the one before `next`. epoch: that of before it was. */
static __always_inline void begin_run(struct track_batch *b, __u64 run, __u64 inode, __u64 next,
				      __u64 epoch)
{
	if (!b->n || b->drop_every)
		return;
	b->run_first = next;
	b->run_inode = inode;
	b->run = run;
	barrier();
	*(volatile __u64 *)&b->next = next;
	barrier();
	if (*(volatile __u64 *)&b->epoch != epoch) {
		b->next = 0;
		b->run = 0;
	}
}

SEC("raw_tp")
int track_flush(struct track_flush_args *args)
{
	__u32 key = args->batch;
	struct track_batch *b = bpf_map_lookup_elem(&batches, &key);
	__u64 n;

	if (!b)
		return 0;
	end_run(b);
	b->epoch++;
	n = b->n;
	if (n == 0)
		return 0;
	if (hand_over(b, n, args->wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP) < 0)
		return 1;
	b->n = 0;
	return 0;
}

const char bpf_license[] SEC("license") = "GPL";
