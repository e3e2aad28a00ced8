/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/pagemap.h"
#include "util/array.h"
#include "util/stop.h"
#include "util/util.h"
#include "view/inspect.h"
#include "view/process_view.h"

#define CHUNK_PAGES 4096

const char *view_state_to_string(int state)
{
	static const char *const names[VIEW_STATE_MAX - PAGE_STATE_MAX] = {
		"private_present", "private_swapped", "private_unknown",
		"beyond_end",      "not_swappable",   "barred",
	};

	if (state < PAGE_STATE_MAX)
		return page_state_to_string((enum page_state)state);
	return names[state - PAGE_STATE_MAX];
}

void process_view_done(struct process_view *v)
{
	closep(&v->pagemap_fd);
	free(v->mappings);
	for (size_t i = 0; i < v->n_snapshots; i++)
		snapshot_done(&v->snapshots[i]);
	for (size_t i = 0; v->slots && i < v->n_snapshots; i++)
		slot_map_done(&v->slots[i]);
	free(v->snapshots);
	free(v->slots);
	*v = (struct process_view){.pagemap_fd = -1};
}

struct page_range view_mapping_crop(const struct process_view *v, const struct view_mapping *m,
				    struct page_range range)
{
	uint64_t first = m->where.start / v->page_size, end = m->where.end / v->page_size;
	uint64_t range_end = range.first + MIN(range.count, UINT64_MAX - range.first);

	first = MAX(first, range.first);
	end = MIN(end, range_end);
	return (struct page_range){.first = first, .count = end > first ? end - first : 0};
}

/* The page of the object that lies at a page of the address space. */
static uint64_t object_page(const struct process_view *v, const struct view_mapping *m,
			    uint64_t page)
{
	return m->where.offset / v->page_size + (page - m->where.start / v->page_size);
}

static int add_mappings(struct process_view *v, const struct object *o, struct page_range range)
{
	for (size_t i = 0; i < o->n_mappers; i++) {
		struct view_mapping m = {.object = o, .where = o->mappers[i]};
		int r;

		if (m.where.pid != v->pid || view_mapping_crop(v, &m, range).count == 0)
			continue;
		r = ARRAY_RESERVE(&v->mappings, &v->n_mappings_allocated, v->n_mappings);
		if (r < 0)
			return r;
		v->mappings[v->n_mappings++] = m;
	}
	return 0;
}

/* The pages of the object that the mappings [from, end of list) show within range. */
static struct page_range range_of_object(const struct process_view *v, size_t from,
					 struct page_range range)
{
	uint64_t first = UINT64_MAX, end = 0;

	for (size_t i = from; i < v->n_mappings; i++) {
		const struct view_mapping *m = &v->mappings[i];
		struct page_range part = view_mapping_crop(v, m, range);
		uint64_t at = object_page(v, m, part.first);

		first = MIN(first, at);
		end = MAX(end, at + part.count);
	}
	return (struct page_range){.first = first, .count = end - first};
}

/* Looks at one object once, however often it is mapped. */
static int add_object(struct process_view *v, struct prober *p, const struct discovery *d,
		      const struct object *o, struct page_range range)
{
	struct snapshot *snapshot = &v->snapshots[v->n_snapshots];
	size_t from = v->n_mappings;
	int r = add_mappings(v, o, range);

	if (r < 0 || v->n_mappings == from)
		return r;
	r = inspect_object(p, d, o, range_of_object(v, from, range), snapshot);
	if (r == -ENOMEM || stop_is_error(r))
		return r;
	v->n_snapshots += r >= 0;
	for (size_t i = from; i < v->n_mappings; i++) {
		v->mappings[i].error = r;
		v->mappings[i].snapshot = r < 0 ? NULL : snapshot;
	}
	return 0;
}

static int mapping_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct view_mapping *)a)->where.start;
	uint64_t y = ((const struct view_mapping *)b)->where.start;

	return x < y ? -1 : x > y;
}

int process_view_build(struct prober *p, const struct discovery *d, pid_t pid,
		       struct object *const *objects, size_t n_objects, struct page_range range,
		       struct process_view *ret)
{
	struct process_view v = {.pid = pid, .page_size = d->caps->page_size};
	int r = 0;

	v.pagemap_fd = pagemap_open(pid);
	if (v.pagemap_fd < 0)
		return v.pagemap_fd;
	v.snapshots = calloc(n_objects + 1, sizeof(*v.snapshots));
	if (!v.snapshots)
		r = -ENOMEM;
	for (size_t i = 0; i < n_objects && r >= 0; i++)
		r = add_object(&v, p, d, objects[i], range);
	if (r < 0) {
		process_view_done(&v);
		return r;
	}
	if (v.n_mappings > 0)
		qsort(v.mappings, v.n_mappings, sizeof(*v.mappings), mapping_compare);
	*ret = v;
	return 0;
}

int process_view_locate(struct process_view *v, struct prober *p, const struct discovery *d)
{
	free(v->slots);
	v->slots = calloc(v->n_snapshots + 1, sizeof(*v->slots));
	if (!v->slots)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_mappings; i++) {
		struct view_mapping *m = &v->mappings[i];
		struct slot_map *slots;
		int r = 0;

		if (!m->snapshot)
			continue;
		slots = &v->slots[m->snapshot - v->snapshots];
		/* Mappings of one object share what was found for the first. */
		if (slots->page_size == 0)
			r = inspect_locate(
				p, d, m->object,
				(struct page_range){m->snapshot->first, m->snapshot->count}, slots);
		if (r == -ENOMEM || stop_is_error(r))
			return r;
		m->slots = r < 0 ? NULL : slots;
	}
	return 0;
}

uint64_t process_view_moved(const struct process_view *v)
{
	uint64_t moved = 0;

	for (size_t i = 0; i < v->n_snapshots; i++)
		moved += v->snapshots[i].moved;
	return moved;
}

bool process_view_is_stable(const struct process_view *v)
{
	for (size_t i = 0; i < v->n_snapshots; i++)
		if (!v->snapshots[i].stable)
			return false;
	return true;
}

/* The object's states of n pages from page on; what the snapshot does not cover lies beyond it. */
static void object_states(const struct process_view *v, const struct view_mapping *m, uint64_t page,
			  size_t n, unsigned char *states)
{
	uint64_t first = object_page(v, m, page);
	struct state_cursor cursor;
	struct extent e;

	if (!m->snapshot) {
		memset(states, m->error == -EOPNOTSUPP ? VIEW_NOT_SWAPPABLE : VIEW_BARRED, n);
		return;
	}
	memset(states, VIEW_BEYOND_END, n);
	cursor = state_map_seek(&m->snapshot->map, first);
	while (cursor.at < first + n && state_cursor_next(&cursor, &e))
		memset(states + (e.first - first), (int)e.state, MIN(e.count, first + n - e.first));
}

static int private_state(uint64_t word, int object_state)
{
	switch (pagemap_classify_private(word)) {
	case PRIVATE_NONE:
		return object_state;
	case PRIVATE_PRESENT:
		return VIEW_PRIVATE_PRESENT;
	case PRIVATE_SWAPPED:
		return VIEW_PRIVATE_SWAPPED;
	case PRIVATE_UNKNOWN:
		break;
	}
	return VIEW_PRIVATE_UNKNOWN;
}

/* The states of n pages, at most CHUNK_PAGES; words are those of pagemap for a private mapping. */
static int chunk_states(const struct process_view *v, const struct view_mapping *m, uint64_t page,
			size_t n, unsigned char *states)
{
	uint64_t words[CHUNK_PAGES];
	int r;

	object_states(v, m, page, n, states);
	if (m->where.shared)
		return 0;
	r = pagemap_read(v->pagemap_fd, page, n, words);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		states[i] = (unsigned char)private_state(words[i], states[i]);
	return 0;
}

int view_walk(const struct process_view *v, const struct view_mapping *m, struct page_range range,
	      view_emit emit, void *context)
{
	struct page_range part = view_mapping_crop(v, m, range);
	uint64_t page = part.first, end = part.first + part.count, run = page;
	int state = -1, r = 0;

	while (page < end) {
		unsigned char states[CHUNK_PAGES];
		size_t n = MIN(end - page, CHUNK_PAGES);

		/* One mapping can be as large as the address space. */
		r = stop_asked();
		if (r >= 0)
			r = chunk_states(v, m, page, n, states);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n && r >= 0; i++) {
			if (states[i] == state)
				continue;
			if (state >= 0)
				r = emit(context, m, run, page + i - run, state);
			state = states[i];
			run = page + i;
		}
		if (r < 0)
			return r;
		page += n;
	}
	return state >= 0 ? emit(context, m, run, end - run, state) : 0;
}

/* Type and offset of a page's slot as the kernel's words have them; 0: it has none. */
static uint64_t slot_word(const struct slot_extent **cursor, const struct slot_map *map,
			  uint64_t page)
{
	const struct slot_extent *e = *cursor, *end = map ? map->items + map->n_items : NULL;

	while (e && e < end && e->first + e->count <= page)
		e++;
	*cursor = e;
	if (!e || e == end || e->first > page)
		return 0;
	return e->type | (e->offset + (page - e->first)) << PAGEMAP_OFFSET_SHIFT;
}

/* The kernel's word for a page of the object, put right. */
static uint64_t fix_word(uint64_t word, int state, uint64_t slot, uint64_t *unsure)
{
	if (word & PAGEMAP_PRESENT)
		return word;
	/* In a shared mapping the kernel's PAGEMAP_SWAP is a marker: no swap type, no offset. */
	if (word & PAGEMAP_SWAP)
		word &= ~(PAGEMAP_SWAP | PAGEMAP_FRAME_MASK);
	if (state == PAGE_SWAPPED || state == PAGE_SWAP_CACHE)
		word |= PAGEMAP_SWAP | slot;
	*unsure += state == PAGE_UNKNOWN || state == PAGE_IN_CORE || state == VIEW_BARRED;
	return word;
}

int view_read_words(const struct process_view *v, const struct view_mapping *m, uint64_t page,
		    size_t n, uint64_t *words, uint64_t *ret_unsure)
{
	uint64_t first = object_page(v, m, page);
	const struct slot_extent *cursor = m->slots ? slot_map_seek(m->slots, first) : NULL;
	int r = pagemap_read(v->pagemap_fd, page, n, words);

	if (r < 0)
		return r;
	for (size_t done = 0; done < n; done += CHUNK_PAGES) {
		unsigned char states[CHUNK_PAGES];
		size_t part = MIN(n - done, CHUNK_PAGES);

		object_states(v, m, page + done, part, states);
		for (size_t i = 0; i < part; i++) {
			uint64_t *word = &words[done + i];
			uint64_t slot = slot_word(&cursor, m->slots, first + done + i);

			if (m->where.shared || pagemap_classify_private(*word) == PRIVATE_NONE)
				*word = fix_word(*word, states[i], slot, ret_unsure);
		}
	}
	return 0;
}
