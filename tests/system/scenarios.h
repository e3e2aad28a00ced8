/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of the system tests: one factory a scenario, the queries about its object, and the
 * comparison of every answer with what is known.
 */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
	STATE_HOLE = 1 << 0,
	STATE_ALLOCATED = 1 << 1,
	STATE_PRESENT = 1 << 2,
	STATE_SWAP_CACHE = 1 << 3,
	STATE_SWAPPED = 1 << 4,
	STATE_POISONED = 1 << 5,
	STATE_IN_CORE = 1 << 6,
	STATE_UNKNOWN = 1 << 7,
	/* a process's own copies, in a private mapping */
	STATE_PRIVATE_PRESENT = 1 << 8,
	STATE_PRIVATE_SWAPPED = 1 << 9,
	STATE_COUNT = 10,
};

/* ---- scenario-extents.c -------------------------------------------------------------------- */

struct extent {
	uint64_t first;
	uint64_t count;
	unsigned set; /* of states, any of which the page may be in */
};

struct extents {
	struct extent *item;
	size_t count;
	size_t room;
};

void extents_add(struct extents *extents, uint64_t first, uint64_t count, unsigned set);
void extents_free(struct extents *extents);
uint64_t extents_sum(const struct extents *extents);
uint64_t extents_pages(const struct extents *extents, unsigned set);
/* Each returns NULL, or what is wrong with the text. */
const char *parse_csv(const char *text, struct extents *ret);
const char *parse_csv_columns(const char *text, const char *const columns[3], int base,
			      struct extents *ret);
const char *parse_json(const char *text, struct extents *ret);
const char *parse_bitmap(const char *text, size_t size, uint64_t pages, unsigned set,
			 struct extents *ret);
void set_to_string(unsigned set, char *ret, size_t size);

/* ---- scenario-process.c -------------------------------------------------------------------- */

struct output {
	char *text; /* ends in a 0 that size does not count */
	size_t size;
	char errors[512];
	int code; /* exit status, or 128 + signal */
	long major_faults;
};

/* Runs a program to its end. */
void run_program(char *const argv[], struct output *ret);
void output_free(struct output *output);

struct factory {
	pid_t pid; /* of the guardian, and of the process group */
	FILE *to, *from;
	char errors_path[64];
	char line[1024];
};

enum {
	FACTORY_FAILED = 1,
	FACTORY_CANNOT = 77,
};

/* Returns 0 when the factory is ready, or its exit status, with its complaint in line. */
int factory_start(struct factory *f, const char *path, const char *scenario, const char *pages,
		  const char *expect_path);
bool factory_command(struct factory *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void factory_stop(struct factory *f);
/* The value of key=... in a line, or def. */
bool field(const char *line, const char *key, char *ret, size_t size);
int64_t field_number(const char *line, const char *key, int64_t def);

/* How many processes outside of the group hold a descriptor of the object or map it. */
int count_strangers(pid_t group, const char *id, char *ret_who, size_t size);

/* ---- scenario-check.c ---------------------------------------------------------------------- */

struct tally {
	uint64_t compared;
	uint64_t wrong;
	uint64_t loose; /* agreed, but more than one state would have been right */
};

struct setup {
	const char *ctl;
	const char *factory;
	const char *pages;
	char dir[64];
	bool old_kernel; /* no cachestat: the portable probe cannot tell some states apart */
	bool walk;       /* the exact probe works here */
	bool brief;      /* not every way to ask */
};

struct run {
	const struct setup *setup;
	const char *name;
	struct factory factory;
	struct extents expect;
	uint64_t pages;
	pid_t pid;
	char id[64];
	char ready[1024]; /* the line in which the factory described the object */
	struct tally tally;
	unsigned problems;
	bool disturbed; /* the object moved by itself: the oracles do not agree with the factory */
	long major_faults;
	int64_t pswpin, pgmajfault;
	const char *probe; /* that is being asked */
	bool exact;        /* it has no excuse for "unknown" */
	char messages[4096];
};

/* Compares everything with everything; the factory is ready. */
void check_scenario(struct run *run);
void problem(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void compare(struct run *run, const char *what, const struct extents *answer, uint64_t first,
	     uint64_t count, bool partial);

/* ---- scenario-query.c ---------------------------------------------------------------------- */

void query_all(struct run *run);
void query_stateless(struct run *run);

#endif
