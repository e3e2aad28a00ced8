/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/array.h"
#include "util/file.h"
#include "util/util.h"
#include "view/victim.h"

static bool is_same(const struct victim_barrier *b, const struct victim_mapping *m)
{
	return b->address == m->address && b->count == m->count;
}

struct victim_barrier *victim_find_barrier(const struct victim *v, const struct victim_mapping *m)
{
	for (size_t i = 0; i < v->n_barriers; i++)
		if (is_same(&v->barriers[i], m))
			return &v->barriers[i];
	return NULL;
}

static int add_barrier(struct victim *v, const struct victim_mapping *m, pageout_facts why,
		       bool huge)
{
	struct victim_barrier *b = victim_find_barrier(v, m);

	if (!b) {
		if (ARRAY_RESERVE(&v->barriers, &v->n_barriers_allocated, v->n_barriers) < 0)
			return -ENOMEM;
		b = &v->barriers[v->n_barriers++];
	}
	*b = (struct victim_barrier){
		.address = m->address, .count = m->count, .why = why, .huge = huge};
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
int victim_read_smaps(struct victim *v)
{
	int fd = openat(v->proc_fd, "smaps", O_RDONLY | O_CLOEXEC), r = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	const struct victim_mapping *m = NULL;
	size_t left = v->n_mappings;
	bool huge = false;
	char line[512];

	if (!file) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r >= 0 && left > 0 && fgets(line, sizeof(line), file)) {
		uint64_t start, kilobytes;
		char after;

		if (sscanf(line, "%" SCNx64 "-%*x%c", &start, &after) == 2 && after == ' ')
			m = find_mapping(v, start);
		if (sscanf(line, "ShmemPmdMapped: %" SCNu64, &kilobytes) == 1)
			huge = kilobytes > 0;
		if (!m || strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0)
			continue;
		r = add_barrier(v, m, barrier_of_flags(line), huge);
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
	return victim_read_smaps(v);
}

void victim_note_locks(const struct victim *v, struct page_range range, pageout_facts *facts)
{
	for (size_t i = 0; i < v->n_mappings; i++) {
		const struct victim_mapping *m = &v->mappings[i];
		const struct victim_barrier *b = victim_find_barrier(v, m);
		uint64_t page = MAX(m->first, range.first);

		for (; b && page < MIN(m->first + m->count, range.first + range.count); page++)
			facts[page - range.first] |= b->why;
	}
}
