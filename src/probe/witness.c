/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/pagemap.h"
#include "probe/witness.h"
#include "util/util.h"

#define CHUNK_PAGES 1024

/* Marks in proved the pages of [first, first + n) that this process has mapped. */
static int ask_witness(const struct probe_witness *w, uint64_t first, size_t n, bool *proved)
{
	uint64_t words[CHUNK_PAGES];
	uint64_t from = MAX(first, w->first), to = MIN(first + n, w->first + w->count);
	int fd, r;

	if (from >= to)
		return 0;
	fd = pagemap_open(w->pid);
	if (fd < 0)
		return 0;
	r = pagemap_read(fd, w->page + (from - w->first), to - from, words);
	close(fd);
	if (r < 0)
		return 0;
	for (uint64_t page = from; page < to; page++)
		proved[page - first] |= pagemap_is_file_page(words[page - from]);
	return 1;
}

static int append_chunk(const struct probe_request *request, uint64_t first, size_t n,
			struct extent_list *to, uint32_t *sources)
{
	bool proved[CHUNK_PAGES] = {false};

	for (size_t i = 0; i < request->n_witnesses; i++)
		if (ask_witness(&request->witnesses[i], first, n, proved))
			*sources |= SOURCE_PAGEMAP;
	for (size_t start = 0, i; start < n; start = i) {
		int r;

		for (i = start + 1; i < n && proved[i] == proved[start]; i++)
			;
		r = extent_list_append(to, first + start, i - start,
				       proved[start] ? PAGE_PRESENT : PAGE_IN_CORE);
		if (r < 0)
			return r;
	}
	return 0;
}

int resolve_by_witness(const struct probe_request *request, struct extent_list *extents,
		       uint32_t *sources)
{
	struct extent_list list = {0};
	int r = 0;

	if (extents->counts[PAGE_IN_CORE] == 0 || request->n_witnesses == 0)
		return 0;
	for (size_t i = 0; i < extents->n_items && r >= 0; i++) {
		const struct extent *e = &extents->items[i];

		if (e->state != PAGE_IN_CORE) {
			r = extent_list_append(&list, e->first, e->count, e->state);
			continue;
		}
		for (uint64_t done = 0; done < e->count && r >= 0;) {
			size_t n = MIN(e->count - done, CHUNK_PAGES);

			r = append_chunk(request, e->first + done, n, &list, sources);
			done += n;
		}
	}
	if (r < 0) {
		extent_list_done(&list);
		return r;
	}
	extent_list_done(extents);
	*extents = list;
	return 0;
}
