/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "track/candidates.h"
#include "util/util.h"

struct candidates candidates_seek(const struct snapshot *s, const struct refaults *refaults,
				  uint32_t after, uint64_t page)
{
	return (struct candidates){
		.cursor = state_map_seek(&s->map, page),
		.refaults = refaults,
		.after = after,
	};
}

static bool find_present(struct candidates *c)
{
	struct extent e;

	while (c->at >= c->end) {
		if (!state_cursor_next(&c->cursor, &e))
			return false;
		if (e.state != PAGE_PRESENT)
			continue;
		c->at = e.first;
		c->end = e.first + e.count;
	}
	return true;
}

static uint64_t end_of(const struct refault_extent *e)
{
	return e->first + e->count;
}

/* What comes back next, from c->at on; behind all there is something that is never reached. */
static void find_back(struct candidates *c)
{
	if (c->back.count > 0 && end_of(&c->back) > c->at)
		return;
	if (!c->refaults || !refaults_next(c->refaults, c->at, c->after, &c->back))
		c->back = (struct refault_extent){.first = UINT64_MAX - 1, .count = 1};
}

bool candidates_next(struct candidates *c, struct page_range *ret)
{
	while (find_present(c)) {
		uint64_t first = c->at;

		find_back(c);
		if (c->back.first > first) {
			c->at = MIN(c->back.first, c->end);
			*ret = (struct page_range){first, c->at - first};
			return true;
		}
		c->at = MIN(end_of(&c->back), c->end);
	}
	return false;
}

uint64_t candidates_count(const struct snapshot *s, const struct refaults *refaults, uint32_t after)
{
	struct candidates c = candidates_seek(s, refaults, after, s->first);
	struct page_range range;
	uint64_t n = 0;

	while (candidates_next(&c, &range))
		n += range.count;
	return n;
}
