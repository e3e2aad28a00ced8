/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "discover/maps.h"
#include "probe/generation.h"
#include "probe/pagemap.h"
#include "util/array.h"
#include "util/file.h"
#include "util/util.h"
#include "view/victim.h"

#define WORDS 512

void victim_done(struct victim *v)
{
	closep(&v->pid_fd);
	closep(&v->proc_fd);
	closep(&v->pagemap_fd);
	free(v->mappings);
	free(v->barriers);
	*v = VICTIM_NONE;
}

/*
 * The number may pass to another process between two calls. A directory of /proc belongs to one
 * process for good, so if that is readable, and the descriptor says that its process is alive, at
 * one moment, both are the same: a number belongs to one living process only.
 */
static int check_same(const struct victim *v)
{
	struct pollfd p = {.fd = v->pid_fd, .events = POLLIN};
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(v->proc_fd, "stat", &text);

	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	return poll(&p, 1, 0) > 0 ? -ESRCH : 0;
}

int victim_open(pid_t pid, const struct object_id *id, uint64_t page_size, struct victim *ret)
{
	struct victim v = VICTIM_NONE;
	char path[32];
	int r;

	v.pid = pid;
	v.id = *id;
	v.page_size = page_size;
	v.huge_pages = victim_huge_pages(page_size);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	v.proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = v.proc_fd < 0 ? -errno : 0;
	if (r >= 0)
		v.pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (r >= 0 && v.pid_fd < 0)
		r = -errno;
	if (r >= 0)
		r = check_same(&v);
	if (r >= 0)
		v.pagemap_fd = openat(v.proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (r >= 0 && v.pagemap_fd < 0)
		r = -errno;
	if (r < 0) {
		victim_done(&v);
		return r == -ENOENT ? -ESRCH : r;
	}
	*ret = v;
	return 0;
}

/* Two objects may have one number; the link tells which it is, where we may follow it. */
static bool is_other_generation(const struct victim *v, const struct map_line *m)
{
	uint32_t generation;
	char path[64];

	if (!v->id.have_generation)
		return false;
	snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)m->start,
		 (unsigned long long)m->end);
	return generation_of_path(v->proc_fd, path, &generation) == 0 &&
	       generation != v->id.generation;
}

static int add_mapping(struct victim *v, const struct map_line *m)
{
	int r = ARRAY_RESERVE(&v->mappings, &v->n_mappings_allocated, v->n_mappings);

	if (r < 0)
		return r;
	v->mappings[v->n_mappings++] = (struct victim_mapping){
		.address = m->start / v->page_size,
		.first = m->offset / v->page_size,
		.count = (m->end - m->start) / v->page_size,
	};
	return 0;
}

int victim_read_mappings(struct victim *v)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(v->proc_fd, "maps", &text);
	char *line, *rest = text;
	int r = 0;

	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	v->n_mappings = 0;
	while (r >= 0 && (line = strsep(&rest, "\n"))) {
		struct map_line m;

		if (map_line_parse(line, &m) < 0 || !m.shared || m.dev != v->id.dev ||
		    m.ino != v->id.ino || is_other_generation(v, &m))
			continue;
		r = add_mapping(v, &m);
	}
	/* A process that is about to end has an empty one. */
	return r < 0 || n > 0 ? r : -ESRCH;
}

/* The part of a mapping that shows pages of range, in pages of the object. */
static struct page_range crop(const struct victim_mapping *m, struct page_range range)
{
	uint64_t first = MAX(m->first, range.first);
	uint64_t end = MIN(m->first + m->count, range.first + range.count);

	return (struct page_range){.first = first, .count = end > first ? end - first : 0};
}

typedef void (*note_words)(void *context, pageout_facts *facts, const uint64_t *words, size_t n);

/* Every word of every mapping, with the facts of the pages that they are about. */
static int each_word(struct victim *v, struct page_range range, pageout_facts *facts,
		     note_words note, void *context)
{
	for (size_t i = 0; i < v->n_mappings; i++) {
		const struct victim_mapping *m = &v->mappings[i];
		struct page_range part = crop(m, range);

		for (uint64_t done = 0; done < part.count; done += WORDS) {
			uint64_t words[WORDS], page = part.first + done;
			size_t n = MIN(part.count - done, WORDS);
			int r = pagemap_read(v->pagemap_fd, m->address + (page - m->first), n,
					     words);

			if (r < 0)
				return r;
			note(context, facts + (page - range.first), words, n);
		}
	}
	return 0;
}

static void note_before(void *context, pageout_facts *facts, const uint64_t *words, size_t n)
{
	(void)context;
	for (size_t i = 0; i < n; i++) {
		facts[i] |= PAGEOUT_COVERED;
		if (!pagemap_is_file_page(words[i]))
			continue;
		facts[i] |= PAGEOUT_PTE;
		if (!(words[i] & PAGEMAP_EXCLUSIVE))
			facts[i] |= PAGEOUT_SHARED;
	}
}

int victim_look_before(struct victim *v, struct page_range range, pageout_facts *facts)
{
	return each_word(v, range, facts, note_before, NULL);
}

/* A page of two mappings of the process is there if either has it. */
static void note_there(void *context, pageout_facts *facts, const uint64_t *words, size_t n)
{
	pageout_facts fact = *(const pageout_facts *)context;

	for (size_t i = 0; i < n; i++)
		if (pagemap_is_file_page(words[i]))
			facts[i] |= fact;
}

int victim_look_after(struct victim *v, struct page_range range, pageout_facts *facts, bool there,
		      pageout_facts fact)
{
	_cleanup_free_ pageout_facts *seen = calloc(range.count + 1, sizeof(*seen));
	int r = seen ? each_word(v, range, seen, note_there, &fact) : -ENOMEM;

	for (uint64_t i = 0; r >= 0 && i < range.count; i++)
		if ((facts[i] & PAGEOUT_PTE) && (seen[i] != 0) == there)
			facts[i] |= fact;
	return r;
}
