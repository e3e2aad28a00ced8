/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "util/array.h"
#include "util/file.h"
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

static bool is_same(const struct victim_barrier *b, const struct victim_mapping *m)
{
	return b->address == m->address && b->count == m->count;
}

static struct victim_barrier *find_barrier(const struct victim *v, const struct victim_mapping *m)
{
	for (size_t i = 0; i < v->n_barriers; i++)
		if (is_same(&v->barriers[i], m))
			return &v->barriers[i];
	return NULL;
}

static int add_barrier(struct victim *v, const struct victim_mapping *m, pageout_facts why)
{
	struct victim_barrier *b = find_barrier(v, m);

	if (!b) {
		if (ARRAY_RESERVE(&v->barriers, &v->n_barriers_allocated, v->n_barriers) < 0)
			return -ENOMEM;
		b = &v->barriers[v->n_barriers++];
	}
	*b = (struct victim_barrier){.address = m->address, .count = m->count, .why = why};
	return 0;
}

/* "VmFlags: rd wr sh mr mw me ms lo sd": is this one among them? */
static bool has_flag(const char *line, const char *flag)
{
	char word[8];

	snprintf(word, sizeof(word), " %s ", flag);
	return strstr(line, word);
}

static pageout_facts barrier_of_flags(const char *line)
{
	if (has_flag(line, "lo"))
		return PAGEOUT_LOCKED;
	if (has_flag(line, "pf") || has_flag(line, "ht"))
		return PAGEOUT_SPECIAL;
	return 0;
}

static const struct victim_mapping *find_mapping(const struct victim *v, uint64_t start)
{
	for (size_t i = 0; i < v->n_mappings; i++)
		if (v->mappings[i].address * v->page_size == start)
			return &v->mappings[i];
	return NULL;
}

/* Reads smaps up to the last of the mappings: a record is made when it is read. */
static int read_flags(struct victim *v)
{
	int fd = openat(v->proc_fd, "smaps", O_RDONLY | O_CLOEXEC), r = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	const struct victim_mapping *m = NULL;
	size_t left = v->n_mappings;
	char line[512];

	if (!file) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r >= 0 && left > 0 && fgets(line, sizeof(line), file)) {
		uint64_t start;
		char after;

		if (sscanf(line, "%" SCNx64 "-%*x%c", &start, &after) == 2 && after == ' ')
			m = find_mapping(v, start);
		if (!m || strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0)
			continue;
		r = add_barrier(v, m, barrier_of_flags(line));
		m = NULL;
		left--;
	}
	fclose(file);
	return r;
}

int victim_read_locks(struct victim *v)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(v->proc_fd, "status", &text);
	unsigned long long kilobytes = 1;
	const char *line;

	if (n < 0)
		return (int)n;
	line = strstr(text, "\nVmLck:");
	if (line && sscanf(line, "\nVmLck: %llu", &kilobytes) == 1 && kilobytes == 0)
		return 0;
	return read_flags(v);
}

void victim_note_locks(const struct victim *v, struct page_range range, pageout_facts *facts)
{
	for (size_t i = 0; i < v->n_mappings; i++) {
		const struct victim_mapping *m = &v->mappings[i];
		const struct victim_barrier *b = find_barrier(v, m);
		uint64_t page = MAX(m->first, range.first);

		for (; b && page < MIN(m->first + m->count, range.first + range.count); page++)
			facts[page - range.first] |= b->why;
	}
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
	const struct victim_barrier *b = find_barrier(a->victim, m);
	int r = b && b->why ? 0 : read_flags(a->victim);

	b = find_barrier(a->victim, m);
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

			while (page < end && facts[page - range.first] & PAGEOUT_ASKED)
				page++;
			if (page > from)
				r = add_piece(&a, m, from, page);
			while (page < end && !(facts[page - range.first] & PAGEOUT_ASKED))
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
