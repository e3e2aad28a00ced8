/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * query - what of a file on tmpfs, or of a descriptor of a process, is in the swap.
 *
 *     query FILE
 *     query PID FD
 *
 * Shows how libshmstate(3) is used:
 *     cc query.c $(pkg-config --cflags --libs libshmstate)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmstate/shmstate.h>

/* The service's own word, if it is it that has refused. */
static int complain(const struct shmstate *s, const char *what, int error)
{
	if (error == -EREMOTEIO)
		fprintf(stderr, "query: %s: %s %s\n", what, shmstate_error_name(s),
			shmstate_error_parameters(s));
	else
		fprintf(stderr, "query: %s: %s\n", what, strerror(-error));
	return EXIT_FAILURE;
}

static void print_counts(const struct shmstate_map *map)
{
	for (int state = 0; state < SHMSTATE_STATES; state++)
		if (shmstate_map_pages(map, state) > 0)
			printf("%12s %" PRIu64 " pages\n", shmstate_state_name(state),
			       shmstate_map_pages(map, state));
	if (!shmstate_map_is_stable(map))
		printf("%" PRIu64 " pages moved meanwhile\n", shmstate_map_moved(map));
}

/* What reading these bytes would bring in from the swap. */
static void print_swapped(const struct shmstate_map *map)
{
	uint64_t page_size = shmstate_map_page_size(map), page = 0;
	struct shmstate_extent e;

	while (shmstate_map_next(map, &page, &e))
		if (e.state == SHMSTATE_SWAPPED)
			printf("swapped: bytes %" PRIu64 " to %" PRIu64 "\n", e.first * page_size,
			       (e.first + e.count) * page_size);
}

int main(int argc, char *argv[])
{
	struct shmstate_selector selector = SHMSTATE_SELECTOR_INIT;
	struct shmstate_map *map;
	struct shmstate *s;
	int r;

	if (argc == 2) {
		/* A descriptor that is open for writing shows that we may know. */
		selector.fd = open(argv[1], O_RDWR | O_CLOEXEC);
		if (selector.fd < 0)
			return complain(NULL, argv[1], -errno);
	} else if (argc == 3) {
		selector.pid = atoi(argv[1]);
		selector.process_fd = atoi(argv[2]);
	} else {
		fprintf(stderr, "usage: query FILE | query PID FD\n");
		return 2;
	}
	r = shmstate_open(NULL, &s);
	if (r < 0)
		return complain(NULL, "the service", r);
	shmstate_set_timeout(s, 60000);
	r = shmstate_classify(s, &selector, NULL, SHMSTATE_PROBE_AUTO, &map);
	if (r < 0)
		return complain(s, argv[1], r);
	shmstate_close(s);
	print_counts(map);
	print_swapped(map);
	shmstate_map_free(map);
	return EXIT_SUCCESS;
}
