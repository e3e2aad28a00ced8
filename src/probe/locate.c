/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "model/snapshot.h"
#include "probe/locate.h"
#include "probe/swap-contents.h"
#include "probe/swap-names.h"
#include "probe/walk.h"
#include "util/file.h"
#include "util/util.h"

/* A request under way. */
struct locating {
	const struct swap_slots *slots;
	uint64_t first; /* pages */
	uint64_t end;
	bool zswap_empty; /* when it began */
	bool relied;      /* on that */
	struct slot_map map;
};

static enum slot_content tell_content(struct locating *l, uint8_t bits)
{
	const uint8_t in_doubt = SWAP_SLOT_UNKNOWN | SWAP_SLOT_CACHE_UNKNOWN | SWAP_SLOT_UNSETTLED;

	if (l->slots->way == SWAP_WAY_NONE || (bits & in_doubt))
		return SLOT_UNKNOWN;
	/* Where one thing is not as we know it, the zeromap, of which nothing else tells, may not
	 * be. */
	if (l->slots->refused[SWAP_WAY_MAP] || l->slots->refused[SWAP_WAY_TABLE])
		return SLOT_UNKNOWN;
	if (bits & SWAP_SLOT_ZERO)
		return SLOT_ZERO;
	if (bits & SWAP_SLOT_ZSWAP)
		return SLOT_ZSWAP;
	if (!(bits & SWAP_SLOT_ZSWAP_OPEN))
		return SLOT_DEVICE;
	l->relied = true;
	return l->zswap_empty ? SLOT_DEVICE : SLOT_UNKNOWN;
}

static int locate_block(void *context, const struct walk_block *b)
{
	struct locating *l = context;
	uint64_t entry = b->node.entry & ~b->swap.poison;

	for (uint64_t left = entry | b->node.retry; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);
		uint64_t bit = UINT64_C(1) << k;
		struct slot_extent e = {.first = b->first + k, .count = 1};
		int r;

		if (e.first < l->first || e.first >= l->end)
			continue;
		if (b->node.retry & bit) {
			l->map.unlocated++;
			continue;
		}
		e.type = entry_type(b->entries[k]);
		e.offset = entry_offset(b->entries[k]);
		e.content = tell_content(l, b->contents[k]);
		e.cached = b->swap.unknown & bit  ? SLOT_CACHED_UNKNOWN
			   : b->swap.cached & bit ? SLOT_CACHED
						  : SLOT_NOT_CACHED;
		r = slot_map_append(&l->map, &e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_size(struct prober *p, int fd, uint64_t *ret)
{
	struct walker_place place = {fd, 0, 0, WALK_NODE_PAGES};
	struct walker_chunk chunk;
	int r = walker_read(p->walker, &place, &chunk);

	if (r >= 0)
		*ret = chunk.after.size;
	return r;
}

static int locate_begin(struct locating *l, struct prober *p, const struct probe_request *request)
{
	uint64_t pages;
	int r = read_size(p, request->fd, &l->map.size);

	if (r < 0)
		return r;
	l->slots = &p->slots;
	l->map.page_size = p->caps->page_size;
	pages = size_to_pages(l->map.size, l->map.page_size);
	l->first = l->map.first = MIN(request->range.first, pages);
	l->map.count = MIN(request->range.count, pages - l->first);
	l->end = l->first + l->map.count;
	r = swap_slots_refresh(&p->slots);
	if (r >= 0)
		r = swap_contents_prepare(&p->slots);
	l->zswap_empty = zswap_holds_any() == 0;
	return r;
}

static void name_swaps(struct locating *l)
{
	_cleanup_free_ char *text = NULL;

	/* Without it they have no names. */
	(void)file_read_at(AT_FDCWD, "/proc/swaps", &text);
	swap_names_match(text, l->slots->types, l->map.swaps);
}

static int locate_pages(struct locating *l, struct prober *p, int fd)
{
	struct walk_range range = {.fd = fd, .first = l->first, .end = l->end, .contents = true};
	int r = walk_careful(p, &range, locate_block, l);

	if (r < 0)
		return r;
	l->map.moved = range.moved;
	/* Nothing was there before and nothing is now: none of what was asked can be there. */
	if (l->relied && l->zswap_empty && zswap_holds_any() != 0)
		slot_map_replace(&l->map, SLOT_DEVICE, SLOT_UNKNOWN);
	return 0;
}

int probe_locate(struct prober *p, const struct probe_request *request, struct slot_map *ret)
{
	struct locating l = {0};
	int r;

	if (!p->walker)
		return p->walker_error ? p->walker_error : -EOPNOTSUPP;
	r = locate_begin(&l, p, request);
	if (r >= 0)
		r = locate_pages(&l, p, request->fd);
	if (r < 0) {
		slot_map_done(&l.map);
		return r;
	}
	name_swaps(&l);
	*ret = l.map;
	return 0;
}
