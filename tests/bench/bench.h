/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* make bench: what an answer costs, against peers, on the same object in the same run. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An object in a known layout, held and mapped by this process. */
struct bench_object {
	int fd;
	char *address; /* NULL: not mapped */
	uint64_t pages;
	uint64_t page_size;
};

struct bench_layout {
	const char *name;
	const char *help;
	/* Makes the object of about so many bytes. Returns 0 or a negative errno. */
	int (*make)(struct bench_object *o, uint64_t bytes);
	uint64_t bytes; /* 0: as the command line says */
	bool needs_swap;
};

extern const struct bench_layout bench_layouts[];
extern const size_t n_bench_layouts;

void bench_object_done(struct bench_object *o);

/* A way to ask. run() returns 0, or a negative errno (-ENOENT: that peer is not installed). */
struct bench_peer {
	const char *name;
	int (*run)(const struct bench_object *o);
};

extern const struct bench_peer bench_peers[];
extern const size_t n_bench_peers;
