/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exact probe as the service has it: loaded once, asked many times. */
#include <errno.h>
#include <stdbool.h>

#include "bench.h"
#include "probe/probe.h"
#include "probe/walker.h"
#include "util/array.h"
#include "util/util.h"

/* Not at once: a process that this one makes meanwhile would have its descriptors. */
static int get_walker(struct walker **ret)
{
	static struct walker *walker;
	static int error;

	if (!walker && error == 0)
		error = walker_new(&walker);
	*ret = walker;
	return error;
}

/* To come: probe_walk(). */
int bench_run_exact(const struct bench_object *o, const struct page_range *part)
{
	(void)o;
	(void)part;
	return -ENOSYS;
}

struct samples {
	double *ns;
	size_t n, allocated;
};

/* How long each chunk holds preemption off, as the walk itself has measured it. */
static int walk_once(struct walker *w, const struct bench_object *o, struct samples *s)
{
	struct walker_stats before, after;
	struct walker_chunk chunk = {0};
	int r = 0;

	walker_get_stats(w, &before);
	while (chunk.next < o->pages && r == 0) {
		r = walker_read(w, o->fd, chunk.next, o->pages, 0, &chunk);
		if (r == 0)
			r = ARRAY_RESERVE(&s->ns, &s->allocated, s->n);
		if (r < 0)
			break;
		walker_get_stats(w, &after);
		s->ns[s->n++] = (double)(after.total_ns - before.total_ns);
		before = after;
	}
	return r;
}

void bench_walk(const struct bench_object *o, unsigned rounds, struct bench_walk *ret)
{
	struct samples s = {0};
	struct walker *w;
	int r = get_walker(&w);

	*ret = (struct bench_walk){0};
	for (unsigned i = 0; i < rounds && r == 0; i++)
		r = walk_once(w, o, &s);
	if (r == 0 && s.n > 0) {
		ret->chunks = s.n / rounds;
		ret->median_us = bench_median(s.ns, (unsigned)s.n) / 1e3;
		ret->max_us = s.ns[s.n - 1] / 1e3;
	}
	free(s.ns);
}

double bench_walk_longest_us(void)
{
	struct walker_stats stats = {0};
	struct walker *w;

	if (get_walker(&w) == 0)
		walker_get_stats(w, &stats);
	return (double)stats.max_ns / 1e3;
}
