/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the verbs of shmstatectl share: options, exit codes, messages. */

#include <stdbool.h>
#include <stdint.h>

#include "discover/select.h"
#include "model/state.h"
#include "probe/prober.h"
#include "util/parse.h"
#include "util/util.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_INCOMPLETE = 3, /* an answer was given, but something could not be determined */
};

enum json_mode {
	JSON_OFF,
	JSON_SHORT,
	JSON_PRETTY,
};

enum output_format {
	FORMAT_TABLE,
	FORMAT_JSON,
	FORMAT_CSV,
	FORMAT_BITMAP, /* dump only */
	FORMAT_RAW,    /* pagemap only */
};

/* The command line, checked. Strings are borrowed from argv. */
struct options {
	struct selector selector;
	uint32_t kinds; /* bits of enum object_kind; 0: all */
	const char *sort;
	bool reverse;
	const char *columns; /* NULL: the verb's own choice */
	bool bytes;
	bool have_states;
	page_state_mask states; /* all if not given */
	const char *range;      /* parsed by the verb, which knows pages or addresses */
	enum probe_choice probe;
	bool slots; /* what is asked for includes where pages are in the swap */
	enum output_format format;
	unsigned settle; /* ms; 0: once is enough */
	uint64_t since;  /* of diff */
	const char *write_file;
	const char *ranges_file; /* of pageout; "-" is standard input */
	uint64_t rate;           /* bytes a second; 0: as fast as it goes */
	uint64_t max_bytes;      /* 0: no cap */
	unsigned age;            /* seconds, of candidates */
	bool wait;               /* until it is known what came back within the age */
	bool unproven;           /* also what may have come back */
	bool idle;               /* only what is not accessed within the age */
	bool dry_run;
	unsigned interval; /* ms, of monitor; 0: the usual */
	uint64_t count;    /* tables or batches; 0: until interrupted */
	bool by_unit;      /* else by object */
	enum json_mode json;
	bool no_legend;
	bool no_pager;
	const char *verb;   /* which it is */
	bool direct;        /* never the service */
	const char *socket; /* nobody but the service that is there */
	bool more;
	const char *method; /* of call */
	const char *parameters;
};

/* The pages that --range names, all without it. Returns 0, or an exit code after a message. */
#define ALL_PAGES ((struct page_range){.first = 0, .count = UINT64_MAX})
int options_page_range(const struct options *o, struct page_range *ret);
/* The same of an address space. */
int options_address_range(const struct options *o, struct page_range *ret);

/* Prints one line to stderr and returns the code. */
int failed(const char *format, ...) _printf_(1, 2);
int usage_error(const char *format, ...) _printf_(1, 2);
int incomplete(const char *format, ...) _printf_(1, 2);
int out_of_memory(void);
/* A line to stderr that changes no exit code. */
void note(const char *format, ...) _printf_(1, 2);

/* The verbs. Each returns an exit code. */
int verb_list(const struct options *options);
int verb_dump(const struct options *options);
int verb_locate(const struct options *options);
int verb_show(const struct options *options);
int verb_pagemap(const struct options *options);
int verb_pageout(const struct options *options);
int verb_capabilities(const struct options *options);
int verb_candidates(const struct options *options);
int verb_refaults(const struct options *options);
int verb_status(const struct options *options);
int verb_call(const struct options *options);
int verb_monitor(const struct options *options);
int verb_watch(const struct options *options);
int verb_diff(const struct options *options);
