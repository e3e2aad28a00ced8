/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "serve/owners.h"
#include "util/array.h"
#include "util/util.h"

void owners_done(struct owners *o)
{
	for (size_t i = 0; i < o->n_items; i++) {
		free(o->items[i].cgroup);
		free(o->items[i].unit);
	}
	free(o->items);
	*o = (struct owners){0};
}

void owner_cache_done(struct owner_cache *cache)
{
	for (size_t i = 0; i < cache->n_items; i++) {
		free(cache->items[i].cgroup);
		free(cache->items[i].unit);
	}
	free(cache->items);
	*cache = (struct owner_cache){0};
}

/* A user's manager has units of its own, which say more than that it is one. */
static void ask(struct process_owner *p)
{
	int r = sd_pid_get_cgroup(p->pid, &p->cgroup);

	if (r < 0) {
		p->cgroup = NULL;
		p->error = r;
		return;
	}
	if (sd_pid_get_user_unit(p->pid, &p->unit) >= 0)
		return;
	p->unit = NULL;
	/* In the root group, and where there is no systemd, there is no unit. */
	if (sd_pid_get_unit(p->pid, &p->unit) < 0)
		p->unit = NULL;
}

static int find_process(struct owner_cache *cache, pid_t pid, const struct process_owner **ret)
{
	struct process_owner *p;
	size_t from = 0, to = cache->n_items;

	while (from < to) {
		size_t middle = (from + to) / 2;

		if (cache->items[middle].pid < pid)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == cache->n_items || cache->items[from].pid != pid) {
		if (ARRAY_RESERVE(&cache->items, &cache->n_allocated, cache->n_items) < 0)
			return -ENOMEM;
		p = &cache->items[from];
		memmove(p + 1, p, (cache->n_items++ - from) * sizeof(*p));
		*p = (struct process_owner){.pid = pid};
		ask(p);
	}
	*ret = &cache->items[from];
	return 0;
}

static bool is_same(const struct owner *o, const struct process_owner *p)
{
	if (!o->cgroup || !p->cgroup)
		return !o->cgroup && !p->cgroup;
	return strcmp(o->cgroup, p->cgroup) == 0;
}

static int add(struct owners *o, const struct process_owner *p)
{
	struct owner new = {.error = p->error, .processes = 1};

	for (size_t i = 0; i < o->n_items; i++)
		if (is_same(&o->items[i], p)) {
			o->items[i].processes++;
			return 0;
		}
	if (ARRAY_RESERVE(&o->items, &o->n_allocated, o->n_items) < 0)
		return -ENOMEM;
	new.cgroup = p->cgroup ? strdup(p->cgroup) : NULL;
	new.unit = p->unit ? strdup(p->unit) : NULL;
	o->items[o->n_items++] = new;
	return (p->cgroup && !new.cgroup) || (p->unit && !new.unit) ? -ENOMEM : 0;
}

static int compare(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* All that hold or map it; some come more than once. The caller frees. */
static pid_t *list_processes(const struct object *o)
{
	pid_t *pids = calloc(o->n_holders + o->n_mappers + 1, sizeof(*pids));
	size_t n = 0;

	if (!pids)
		return NULL;
	for (size_t i = 0; i < o->n_holders; i++)
		pids[n++] = o->holders[i].pid;
	for (size_t i = 0; i < o->n_mappers; i++)
		pids[n++] = o->mappers[i].pid;
	qsort(pids, n, sizeof(*pids), compare);
	return pids;
}

int owners_find(struct owner_cache *cache, const struct object *o, struct owners *ret)
{
	_cleanup_free_ pid_t *pids = list_processes(o);
	struct owners owners = {0};
	int r = pids ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < o->n_holders + o->n_mappers; i++) {
		const struct process_owner *p;

		if (i > 0 && pids[i] == pids[i - 1])
			continue;
		r = find_process(cache, pids[i], &p);
		if (r >= 0)
			r = add(&owners, p);
	}
	if (r < 0)
		owners_done(&owners);
	else
		*ret = owners;
	return r;
}
