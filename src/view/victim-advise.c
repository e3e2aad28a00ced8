/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "util/util.h"
#include "view/victim.h"

/* Of the system call: IOV_MAX is libc's. */
#define VECTOR_MAX 512

/* What one advice is about: runs of pages, each within one mapping. */
struct advice {
	struct victim *victim;
	struct page_range range;
	pageout_facts *facts;
	struct iovec vector[VECTOR_MAX];
	const struct victim_mapping *mappings[VECTOR_MAX];
	size_t n;
};

static ssize_t process_madvise_pageout(int pid_fd, const struct iovec *vector, size_t n)
{
	long r = syscall(SYS_process_madvise, pid_fd, vector, n, MADV_PAGEOUT, 0);

	return r < 0 ? -errno : r;
}

int victim_try(const struct victim *v)
{
	ssize_t r = process_madvise_pageout(v->pid_fd, NULL, 0);

	if (r == -EINVAL)
		return -ENOSYS;
	return r < 0 ? (int)r : 0;
}

static void note_piece(struct advice *a, size_t at, pageout_facts fact)
{
	const struct victim_mapping *m = a->mappings[at];
	const struct iovec *piece = &a->vector[at];
	uint64_t page_size = a->victim->page_size;
	uint64_t page = m->first + ((uintptr_t)piece->iov_base / page_size - m->address);

	for (size_t i = 0; i < piece->iov_len / page_size; i++)
		a->facts[page - a->range.first + i] |= fact;
}

/*
 * EINVAL. Why is asked once a mapping, for smaps takes its time; if that cannot be read it is not
 * known, which is no failure.
 */
static int note_refusal(struct advice *a, size_t at)
{
	const struct victim_mapping *m = a->mappings[at];
	const struct victim_barrier *b = victim_find_barrier(a->victim, m);
	int r = b && b->why ? 0 : victim_read_smaps(a->victim);

	b = victim_find_barrier(a->victim, m);
	if (b)
		note_piece(a, at, b->why);
	return r == -ENOMEM ? r : 0;
}

/* The kernel stops at the first piece that it does not take, and says how far it came. */
static int advise_all(struct advice *a)
{
	size_t done = 0;
	int r = 0;

	while (r >= 0 && done < a->n) {
		ssize_t bytes =
			process_madvise_pageout(a->victim->pid_fd, a->vector + done, a->n - done);

		if (bytes == -EINTR || bytes == -EAGAIN)
			continue;
		if (bytes == -EINVAL)
			r = note_refusal(a, done++);
		else if (bytes == -ENOMEM || bytes == 0)
			done++; /* a part of it was unmapped in this very moment */
		else if (bytes < 0)
			r = (int)bytes;
		for (; bytes > 0 && done < a->n; done++) {
			bytes -= (ssize_t)a->vector[done].iov_len;
			note_piece(a, done, PAGEOUT_TRIED);
		}
	}
	a->n = 0;
	return r;
}

static int add_piece(struct advice *a, const struct victim_mapping *m, uint64_t page, uint64_t end)
{
	uint64_t address = (m->address + (page - m->first)) * a->victim->page_size;
	int r = a->n == VECTOR_MAX ? advise_all(a) : 0;

	if (r < 0)
		return r;
	a->vector[a->n] = (struct iovec){
		.iov_base = (void *)(uintptr_t)address,
		.iov_len = (end - page) * a->victim->page_size,
	};
	a->mappings[a->n++] = m;
	return 0;
}

/* A huge page is not cut: it would cost the process its page table, and nothing would leave. */
static bool is_advised(pageout_facts facts)
{
	return (facts & PAGEOUT_ASKED) && !pageout_is_part(facts);
}

int victim_advise(struct victim *v, struct page_range range, pageout_facts *facts)
{
	struct advice a = {.victim = v, .range = range, .facts = facts};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < v->n_mappings; i++) {
		const struct victim_mapping *m = &v->mappings[i];
		uint64_t page = MAX(m->first, range.first);
		uint64_t end = MIN(m->first + m->count, range.first + range.count);

		while (r >= 0 && page < end) {
			uint64_t from = page;

			while (page < end && is_advised(facts[page - range.first]))
				page++;
			if (page > from)
				r = add_piece(&a, m, from, page);
			while (page < end && !is_advised(facts[page - range.first]))
				page++;
		}
	}
	return r < 0 ? r : advise_all(&a);
}

/* Any advice to page out empties the batches of the CPU that it is given on. */
void victim_drain_batches(void)
{
	long page_size = sysconf(_SC_PAGESIZE);
	void *scratch =
		mmap(NULL, (size_t)page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cpu_set_t ours;

	if (scratch == MAP_FAILED)
		return;
	if (sched_getaffinity(0, sizeof(ours), &ours) == 0) {
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			cpu_set_t one;

			if (!CPU_ISSET(cpu, &ours))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			if (sched_setaffinity(0, sizeof(one), &one) == 0)
				madvise(scratch, (size_t)page_size, MADV_PAGEOUT);
		}
		sched_setaffinity(0, sizeof(ours), &ours);
	}
	munmap(scratch, (size_t)page_size);
}
