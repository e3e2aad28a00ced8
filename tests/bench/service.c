/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exact probe behind the service: connected once, asked many times, for all states. */
#include <errno.h>
#include <stdlib.h>

#include "bench.h"
#include "lib/shmstate/shmstate.h"

static int get_service(struct shmstate **ret)
{
	static struct shmstate *service;
	const char *socket = getenv("SHMSTATE_BENCH_SOCKET");
	int r = 0;

	if (!socket)
		return -ENOENT;
	if (!service)
		r = shmstate_open(socket, &service);
	*ret = service;
	return r;
}

int bench_run_service(const struct bench_object *o, const struct page_range *part)
{
	struct shmstate_selector selector = SHMSTATE_SELECTOR_INIT;
	struct shmstate_range range = {.first = part->first, .count = part->count};
	struct shmstate_map *map;
	struct shmstate *service;
	int r = get_service(&service);

	if (r < 0)
		return r;
	selector.fd = o->fd;
	r = shmstate_classify(service, &selector, &range, SHMSTATE_PROBE_WALK, &map);
	if (r >= 0)
		shmstate_map_free(map);
	return r;
}
