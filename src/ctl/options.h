/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verb table and the option table: --help, parsing and the completion test all read these. */

#include "ctl/ctl.h"

struct verb {
	const char *name;
	const char *arguments;
	const char *help;
	int (*run)(const struct options *options);
	unsigned bit; /* in the option table's verbs */
};

/*
 * Takes the command line apart. Returns the verb to run and fills *ret; or NULL, with *ret_code the
 * exit code (what --help and --version ask for is printed).
 */
const struct verb *options_parse(int argc, char *argv[], struct options *ret, int *ret_code);
