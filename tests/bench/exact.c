/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exact probe as the service has it: loaded once, asked many times. */
#include <errno.h>
#include <stdbool.h>

#include "bench.h"
#include "probe/probe.h"
#include "util/array.h"
#include "util/util.h"

/* Not at once: a process that this one makes meanwhile would have its descriptors. */
static int get_prober(struct prober **ret)
{
	static struct prober prober;
	static struct kcaps caps;
	static bool tried;
	static int error;

	if (!tried)
		error = kcaps_probe(&caps);
	if (!tried && error == 0)
		error = prober_open(&prober, &caps, PROBE_WALK);
	tried = true;
	*ret = &prober;
	/* no BPF in this build, or none in this kernel */
	return error == -EOPNOTSUPP ? -ENOSYS : error;
}

int bench_run_exact(const struct bench_object *o, const struct page_range *part)
{
	struct probe_request request = {.fd = o->fd, .range = *part};
	struct snapshot s = {0};
	struct prober *p;
	int r = get_prober(&p);

	if (r < 0)
		return r;
	request.caps = p->caps;
	r = probe_walk(p, &request, &s);
	snapshot_done(&s);
	return r;
}

struct samples {
	double *ns;
	size_t n, allocated;
};

/* How long each chunk holds preemption off, as the walk itself has measured it. */
static int walk_once(struct walker *w, const struct bench_object *o, struct samples *s)
{
	struct walker_place place = {.fd = o->fd, .end = o->pages, .max_records = WALK_RECORDS};
	struct walker_stats before, after;
	struct walker_chunk chunk = {0};
	int r = 0;

	walker_get_stats(w, &before);
	while (chunk.next < o->pages && r == 0) {
		place.first = chunk.next;
		r = walker_read(w, &place, &chunk);
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
	struct prober *p;
	int r = get_prober(&p);

	*ret = (struct bench_walk){0};
	for (unsigned i = 0; i < rounds && r == 0; i++)
		r = walk_once(p->walker, o, &s);
	if (r == 0 && s.n > 0) {
		ret->chunks = s.n / rounds;
		ret->median_us = bench_median(s.ns, (unsigned)s.n) / 1e3;
		ret->p99_us = s.ns[(s.n - 1) * 99 / 100] / 1e3;
		ret->max_us = s.ns[s.n - 1] / 1e3;
	}
	free(s.ns);
}

double bench_walk_longest_us(void)
{
	struct walker_stats stats = {0};
	struct prober *p;

	if (get_prober(&p) == 0)
		walker_get_stats(p->walker, &stats);
	return (double)stats.max_ns / 1e3;
}
