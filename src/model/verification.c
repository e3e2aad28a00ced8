/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "model/verification.h"
#include "util/array.h"
#include "util/util.h"

void verification_done(struct verification *v)
{
	free(v->items);
	*v = (struct verification){0};
}

static int add(struct verification *v, const struct disagreement *d)
{
	int r = ARRAY_RESERVE(&v->items, &v->n_allocated, v->n_items);

	if (r < 0)
		return r;
	v->items[v->n_items++] = *d;
	v->unexplained += d->explained ? 0 : d->count;
	return 0;
}

static bool is_determined(enum page_state walk, enum page_state portable)
{
	return walk != PAGE_UNKNOWN && walk != PAGE_IN_CORE && portable != PAGE_UNKNOWN &&
	       portable != PAGE_IN_CORE;
}

int verification_compare(const struct state_map *walk, const struct state_map *portable,
			 struct verification *ret)
{
	struct state_cursor a = state_map_seek(walk, 0), b = state_map_seek(portable, 0);
	struct verification v = {0};
	struct extent x = {0}, y = {0};
	int r = 0;

	while (r >= 0) {
		struct disagreement d;

		if ((x.count == 0 && !state_cursor_next(&a, &x)) ||
		    (y.count == 0 && !state_cursor_next(&b, &y)))
			break;
		d = (struct disagreement){.first = x.first, .walk = x.state, .portable = y.state};
		d.count = MIN(x.count, y.count);
		if (!is_determined(x.state, y.state))
			v.undetermined += d.count;
		else
			v.compared += d.count;
		if (is_determined(x.state, y.state) && x.state != y.state)
			r = add(&v, &d);
		x = (struct extent){x.first + d.count, x.count - d.count, x.state};
		y = (struct extent){y.first + d.count, y.count - d.count, y.state};
	}
	if (r < 0) {
		verification_done(&v);
		return r;
	}
	*ret = v;
	return 0;
}

int verification_keep(struct verification *old, const struct verification *new)
{
	struct verification kept = {.compared = old->compared, .undetermined = old->undetermined};
	size_t i = 0, k = 0;
	int r = 0;

	while (i < old->n_items && k < new->n_items &&r >= 0) {
		const struct disagreement *x = &old->items[i], *y = &new->items[k];
		uint64_t first = MAX(x->first, y->first);
		uint64_t end = MIN(x->first + x->count, y->first + y->count);
		struct disagreement d = *y;

		if (first < end) {
			d.first = first;
			d.count = end - first;
			r = add(&kept, &d);
		}
		if (x->first + x->count < y->first + y->count)
			i++;
		else
			k++;
	}
	verification_done(old);
	*old = kept;
	return r;
}
