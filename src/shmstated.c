/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* shmstated - tells over varlink what shared memory is, page by page. */

#include <getopt.h>
#include <stdio.h>

#include "probe/mapping.h"
#include "serve/log.h"
#include "serve/manager.h"

static void print_help(void)
{
	printf("Usage: shmstated [OPTION...]\n\n"
	       "Tell over varlink, page by page, whether shared memory is present, in the swap\n"
	       "cache, swapped out or a hole, without disturbing a page.\n\n"
	       "  --socket=PATH  Listen there, if the service manager passes no socket\n"
	       "                 (/run/shmstate/io.shmstate)\n"
	       "  --config=FILE  Read FILE instead of shmstated.conf and its drop-ins\n"
	       "  -h, --help     Show this help\n"
	       "  --version      Show the version\n\n"
	       "See shmstated(8), shmstated.conf(5) and io.shmstate(7).\n");
}

/* Returns 0 to go on, or 1 with the exit status. */
static int parse(int argc, char *argv[], struct manager_setup *ret, int *ret_status)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*ret_status = EXIT_SUCCESS;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			ret->socket = optarg;
			break;
		case 'c':
			ret->config = optarg;
			break;
		case 'h':
			print_help();
			return 1;
		case 'v':
			printf("shmstated " PACKAGE_VERSION "\n");
			return 1;
		default:
			*ret_status = 2;
			return 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "shmstated: takes no arguments, got \"%s\"\n", argv[optind]);
		*ret_status = 2;
		return 1;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	struct manager_setup setup = {0};
	struct manager *manager;
	int status, r;

	if (parse(argc, argv, &setup, &status))
		return status;
	mapping_keep_khugepaged_out();
	log_open();
	r = manager_new(&setup, &manager);
	if (r < 0)
		return EXIT_FAILURE;
	r = manager_run(manager);
	manager_free(manager);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
