/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "probe/pagemap.h"
#include "util/file.h"
#include "util/util.h"
#include "view/victim.h"

#define HUGE_PAGE_SIZE "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
#define RUNS 64

uint64_t victim_huge_pages(uint64_t page_size)
{
	_cleanup_free_ char *text = NULL;
	uint64_t bytes;

	if (file_read_at(AT_FDCWD, HUGE_PAGE_SIZE, &text) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 10, &bytes) < 0 ? 0 : bytes / page_size;
}

/* The facts are those of the pages of the mapping from `page` (of the address space) on. */
static int note_huge(const struct victim *v, uint64_t page, uint64_t count, pageout_facts *facts)
{
	uint64_t at = page, end = page + count, next;
	struct page_range runs[RUNS];

	for (; at < end; at = next) {
		int n = pagemap_find_huge(v->pagemap_fd, v->page_size, at, end, runs, RUNS, &next);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++)
			for (uint64_t k = 0; k < runs[i].count; k++)
				facts[runs[i].first - page + k] |= PAGEOUT_HUGE;
		if (next <= at)
			break;
	}
	return 0;
}

/*
 * Where the kernel tells of whole mappings only, in smaps. That is read once a mapping, for it
 * takes its time; what became huge since is not noticed. If it cannot be read anything may be.
 */
static int note_perhaps(struct victim *v, const struct victim_mapping *m, uint64_t count,
			pageout_facts *facts)
{
	const struct victim_barrier *b = victim_find_barrier(v, m);
	int r = b ? 0 : victim_read_smaps(v);

	b = victim_find_barrier(v, m);
	for (uint64_t i = 0; i < count && (!b || b->huge); i++)
		facts[i] |= PAGEOUT_MAYBE_HUGE;
	return r == -ENOMEM ? r : 0;
}

int victim_look_huge(struct victim *v, struct page_range range, pageout_facts *facts)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && v->huge_pages > 0 && i < v->n_mappings; i++) {
		const struct victim_mapping *m = &v->mappings[i];
		uint64_t page = MAX(m->first, range.first);
		uint64_t end = MIN(m->first + m->count, range.first + range.count);
		pageout_facts *there = facts + (page - range.first);

		if (page >= end)
			continue;
		r = note_huge(v, m->address + (page - m->first), end - page, there);
		if (r < 0)
			r = note_perhaps(v, m, end - page, there);
	}
	return r;
}
