/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service as a process: its loop, its signals, its service manager. */

struct manager;

/* Strings are borrowed; NULL: the usual. */
struct manager_setup {
	const char *socket; /* to listen on, if the service manager passes none */
	const char *config; /* a file to read instead of those of the system */
};

/* Prints why it failed. Returns 0 or a negative errno. */
int manager_new(const struct manager_setup *setup, struct manager **ret);
struct manager *manager_free(struct manager *m); /* NULL is fine; returns NULL */

/* Serves until it is told to stop, or is idle. Returns 0 or a negative errno. */
int manager_run(struct manager *m);
