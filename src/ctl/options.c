/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/options.h"
#include "ctl/options-values.h"

enum {
	LIST = 1 << 0,
	DUMP = 1 << 1,
	SHOW = 1 << 2,
	PAGEMAP = 1 << 3,
	CAPABILITIES = 1 << 4,
	LOCATE = 1 << 5,
	STATUS = 1 << 6,
	CALL = 1 << 7,
	DIFF = 1 << 8,
	PAGEOUT = 1 << 9,
	MONITOR = 1 << 10,
	WATCH = 1 << 11,
	FIND = 1 << 12, /* candidates */
	REFAULTS = 1 << 13,
	LIVE = MONITOR | WATCH,
	PROBING = LIST | DUMP | SHOW | PAGEMAP,
	SELECTING = PROBING | LOCATE | DIFF | PAGEOUT | LIVE | FIND | REFAULTS,
	EITHER = PROBING | LOCATE | PAGEOUT | CAPABILITIES, /* the service, or directly */
	ANY = EITHER | SELECTING | STATUS | CALL,
};

static const struct verb verbs[] = {
	{"list", "[OBJECT]", "List shared memory objects and how much of each is where", verb_list,
	 LIST},
	{"dump", "OBJECT", "Show the state of every page of an object, in extents", verb_dump,
	 DUMP},
	{"diff", "OBJECT GENERATION", "Show what has changed since dump, show or diff told so",
	 verb_diff, DIFF},
	{"locate", "OBJECT", "Show where in the swap an object's pages are, in extents",
	 verb_locate, LOCATE},
	{"show", "OBJECT", "Show an object's counts, who holds it and who maps it", verb_show,
	 SHOW},
	{"pagemap", "[OBJECT]", "Show the states by virtual address, as a process maps them",
	 verb_pagemap, PAGEMAP},
	{"pageout", "OBJECT", "Page an object out, and say which of its pages left", verb_pageout,
	 PAGEOUT},
	{"candidates", "OBJECT", "Show what is worth paging out: present, and not back lately",
	 verb_candidates, FIND},
	{"refaults", "OBJECT", "Show what came back from the swap, how often and when last",
	 verb_refaults, REFAULTS},
	{"monitor", "[OBJECT]", "Show what goes out to the swap and comes in, again and again",
	 verb_monitor, MONITOR},
	{"watch", "OBJECT", "Show the state of every page, then what changes, as it does",
	 verb_watch, WATCH},
	{"capabilities", "", "Show what this kernel and this privilege allow", verb_capabilities,
	 CAPABILITIES},
	{"status", "", "Show what the service is, what it has done and what it allows", verb_status,
	 STATUS},
	{"call", "METHOD [JSON]", "Call a method of the service, with parameters", verb_call, CALL},
};

enum option_id {
	OPT_PID = 256,
	OPT_FD,
	OPT_ADDRESS,
	OPT_PATH,
	OPT_NAME,
	OPT_KIND,
	OPT_STATE,
	OPT_RANGE,
	OPT_SETTLE,
	OPT_PROBE,
	OPT_FORMAT,
	OPT_WRITE,
	OPT_SORT,
	OPT_JSON,
	OPT_DIRECT,
	OPT_SOCKET,
	OPT_MORE,
	OPT_RANGES,
	OPT_RATE,
	OPT_MAX,
	OPT_DRY_RUN,
	OPT_AGE,
	OPT_WAIT,
	OPT_UNPROVEN,
	OPT_IDLE,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_BY,
	OPT_NO_LEGEND,
	OPT_NO_PAGER,
	OPT_VERSION,
};

static const struct option_spec {
	int id; /* a letter is the short form too */
	const char *name;
	const char *argument;
	unsigned verbs;
	const char *help;
} specs[] = {
	{OPT_PID, "pid", "PID", SELECTING, "Objects that this process holds or maps"},
	{OPT_FD, "fd", "N", SELECTING, "With --pid: the object of its descriptor N"},
	{OPT_ADDRESS, "address", "A", SELECTING,
	 "With --pid: the object mapped at address A (hex)"},
	{OPT_PATH, "path", "FILE", SELECTING, "The tmpfs file FILE, held open or not"},
	{OPT_NAME, "name", "NAME", SELECTING,
	 "Objects of this name: a memfd's, a SysV segment's, a path"},
	{OPT_KIND, "kind", "KIND,...", LIST,
	 "memfd, tmpfs, sysv, anon, shmem, hugetlb, secretmem, guest_memfd"},
	{OPT_SORT, "sort", "COLUMN", LIST, "Sort by this column"},
	{'r', "reverse", NULL, LIST, "Reverse the order"},
	{'b', "bytes", NULL, LIST | SHOW | DUMP | DIFF | LOCATE | PAGEOUT | MONITOR,
	 "Sizes in bytes"},
	{OPT_STATE, "state", "STATE,...", DUMP | DIFF | PAGEMAP | WATCH,
	 "Only pages in these states: hole, allocated, present, swap_cache, swapped, poisoned, "
	 "in_core, unknown"},
	{OPT_RANGE, "range", "RANGE",
	 DUMP | DIFF | PAGEMAP | LOCATE | PAGEOUT | WATCH | FIND | REFAULTS,
	 "FIRST+COUNT or FIRST-LAST: pages, or bytes with K, M, G, T; pagemap: START-END or "
	 "START+LENGTH (hex addresses)"},
	{OPT_RANGES, "ranges", "FILE", PAGEOUT,
	 "Ranges of pages as candidates and dump print them (JSON or CSV); -: standard input"},
	{OPT_RATE, "rate", "BYTES", PAGEOUT, "At most so many a second; K, M, G, T"},
	{OPT_MAX, "max", "BYTES", PAGEOUT | FIND,
	 "No more than so many are paged out, or given; K, M, G, T"},
	{OPT_DRY_RUN, "dry-run", NULL, PAGEOUT, "Only say what would stay, and why"},
	{OPT_AGE, "age", "TIME", FIND,
	 "Not what came back from the swap within TIME: 60s (the default), 10min"},
	{OPT_WAIT, "wait", NULL, FIND, "Wait until it is known what did, for TIME at most"},
	{OPT_UNPROVEN, "unproven", NULL, FIND, "Give also what may have come back within TIME"},
	{OPT_IDLE, "idle", NULL, FIND,
	 "Only what is not accessed within TIME from now on, by the idle-page bitmap; needs root"},
	{OPT_SETTLE, "settle", "TIME", DUMP | DIFF,
	 "Look again until two looks agree, for TIME at most: 500ms, 2s"},
	{OPT_INTERVAL, "interval", "TIME", MONITOR, "From one table to the next: 1s, 500ms"},
	{OPT_COUNT, "count", "N", LIVE, "End after N tables, or N batches of changes"},
	{OPT_BY, "by", "WHAT", MONITOR, "A line for each object, or unit"},
	{OPT_PROBE, "probe", "PROBE", PROBING | DIFF | LIVE | FIND | REFAULTS,
	 "auto, walk (exact; needs root), portable, verify (both, compared)"},
	{OPT_FORMAT, "format", "FORMAT", DUMP | DIFF | PAGEMAP | LOCATE | PAGEOUT | FIND | REFAULTS,
	 "table, json, csv; dump also: bitmap; pagemap also: raw"},
	{OPT_WRITE, "write", "FILE", PAGEMAP,
	 "With --format raw: write FILE laid out like /proc/PID/pagemap"},
	{'o', "output", "COLUMN,...",
	 LIST | DUMP | DIFF | PAGEMAP | LOCATE | CAPABILITIES | FIND | REFAULTS, "Choose columns"},
	{OPT_DIRECT, "direct", NULL, EITHER, "Ask the kernel, though the service be there"},
	{OPT_SOCKET, "socket", "PATH", ANY, "Ask the service that listens at PATH"},
	{OPT_MORE, "more", NULL, CALL, "Several replies, a line each"},
	{OPT_JSON, "json", "MODE", ANY, "short, pretty or off"},
	{OPT_NO_LEGEND, "no-legend", NULL, ANY, "No headers"},
	{OPT_NO_PAGER, "no-pager", NULL, ANY, "No pager"},
	{'h', "help", NULL, ANY, "Show this help"},
	{OPT_VERSION, "version", NULL, ANY, "Show the version"},
};

static void print_help(void)
{
	printf("Usage: shmstatectl VERB [OBJECT] [OPTION...]\n\n"
	       "Tell page by page whether shared memory is present, in the swap cache, swapped\n"
	       "out or a hole, without disturbing a page.\n\nVerbs:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-12s %-17s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	printf("\nOBJECT is an id as list prints it; or use the options that select:\n");
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		const struct option_spec *s = &specs[i];
		char left[40], letter[8] = "    ";

		if (i > 0 && specs[i - 1].id == OPT_NAME)
			printf("\nOptions:\n");
		if (s->id < 256)
			snprintf(letter, sizeof(letter), "-%c, ", s->id);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, s->name, s->argument ? "=" : "",
			 s->argument ? s->argument : "");
		printf("  %-25s %s\n", left, s->help);
	}
	printf("\nExit status: 0 success, 1 failure, 2 bad usage, 3 incomplete answer.\n"
	       "See shmstatectl(1).\n");
}

static int parse_selector_option(int id, const char *arg, struct selector *s)
{
	switch (id) {
	case OPT_PID:
		if (parse_int(arg, 1, &s->pid) < 0)
			return usage_error("--pid=%s: expected the number of a process", arg);
		break;
	case OPT_FD:
		if (parse_int(arg, 0, &s->fd) < 0)
			return usage_error("--fd=%s: expected the number of a descriptor", arg);
		s->have_fd = true;
		break;
	case OPT_ADDRESS:
		if (parse_u64(arg, 16, &s->address) < 0)
			return usage_error("--address=%s: expected a hexadecimal address", arg);
		s->have_address = true;
		break;
	case OPT_PATH:
		s->path = arg;
		break;
	case OPT_NAME:
		s->name = arg;
		break;
	}
	return 0;
}

static int parse_pageout_option(int id, const char *arg, struct options *o)
{
	switch (id) {
	case OPT_RANGES:
		o->ranges_file = arg;
		break;
	case OPT_RATE:
		return parse_amount("rate", arg, 1, &o->rate);
	case OPT_MAX:
		/* Less than a page would be none. */
		return parse_amount("max", arg, (uint64_t)sysconf(_SC_PAGESIZE), &o->max_bytes);
	case OPT_DRY_RUN:
		o->dry_run = true;
		break;
	}
	return 0;
}

static int parse_option(int id, const char *arg, unsigned verb, struct options *o)
{
	switch (id) {
	case OPT_PID:
	case OPT_FD:
	case OPT_ADDRESS:
	case OPT_PATH:
	case OPT_NAME:
		return parse_selector_option(id, arg, &o->selector);
	case OPT_KIND:
		return parse_kinds(arg, &o->kinds);
	case OPT_STATE:
		return parse_states(arg, o);
	case OPT_PROBE:
		return parse_probe(arg, o);
	case OPT_FORMAT:
		return parse_format(arg, verb == DUMP, verb == PAGEMAP, o);
	case OPT_JSON:
		return parse_json(arg, o);
	case OPT_RANGES:
	case OPT_RATE:
	case OPT_MAX:
	case OPT_DRY_RUN:
		return parse_pageout_option(id, arg, o);
	case OPT_AGE:
		return parse_age(arg, o);
	case OPT_WAIT:
		o->wait = true;
		break;
	case OPT_UNPROVEN:
		o->unproven = true;
		break;
	case OPT_IDLE:
		o->idle = true;
		break;
	case OPT_INTERVAL:
		return parse_interval(arg, o);
	case OPT_COUNT:
		if (parse_u64(arg, 10, &o->count) < 0 || o->count == 0)
			return usage_error("--count=%s: expected a number from 1 on", arg);
		break;
	case OPT_BY:
		return parse_by(arg, o);
	case OPT_SORT:
		o->sort = arg;
		break;
	case OPT_RANGE:
		o->range = arg;
		break;
	case OPT_SETTLE:
		return parse_settle(arg, o);
	case OPT_WRITE:
		o->write_file = arg;
		break;
	case OPT_SOCKET:
		o->socket = arg;
		break;
	case OPT_DIRECT:
		o->direct = true;
		break;
	case OPT_MORE:
		o->more = true;
		break;
	case 'o':
		o->columns = arg;
		break;
	case 'r':
		o->reverse = true;
		break;
	case 'b':
		o->bytes = true;
		break;
	case OPT_NO_LEGEND:
		o->no_legend = true;
		break;
	case OPT_NO_PAGER:
		o->no_pager = true;
		break;
	}
	return 0;
}

static const struct verb *find_verb(int argc, char *argv[])
{
	for (size_t i = 0; argc > 0 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return &verbs[i];
	return NULL;
}

static const struct option_spec *find_spec(int id)
{
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		if (specs[i].id == id)
			return &specs[i];
	return NULL;
}

/* The verb may stand anywhere among the options, so these are kept until it is known. */
struct given {
	int id;
	const char *argument;
};

static int check_combination(const struct verb *verb, struct options *o)
{
	const struct selector *s = &o->selector;

	if ((s->have_fd || s->have_address) && s->pid == 0)
		return usage_error("--%s needs --pid", s->have_fd ? "fd" : "address");
	if ((verb->bit & (DUMP | DIFF | SHOW | LOCATE | PAGEOUT | WATCH | FIND | REFAULTS)) &&
	    selector_is_empty(s))
		return usage_error(
			"%s needs an object: an id as list prints it, or --pid, --path or "
			"--name",
			verb->name);
	if (verb->bit == PAGEMAP && s->pid == 0)
		return usage_error("pagemap needs --pid");
	if (o->format == FORMAT_JSON && o->json == JSON_OFF)
		o->json = JSON_SHORT;
	if (o->format == FORMAT_TABLE && o->json != JSON_OFF)
		o->format = FORMAT_JSON;
	if (o->format != FORMAT_JSON && o->json != JSON_OFF)
		return usage_error("--json and another --format exclude each other");
	if (o->format == FORMAT_BITMAP && !o->have_states)
		return usage_error(
			"--format=bitmap needs --state: a bit says whether the page is in one "
			"of these states");
	if (o->format == FORMAT_RAW && o->have_states)
		return usage_error("--format=raw and --state exclude each other");
	o->slots = verb->bit == LOCATE || o->format == FORMAT_RAW;
	if (o->write_file && o->format != FORMAT_RAW)
		return usage_error("--write needs --format=raw");
	if (o->range && o->ranges_file)
		return usage_error("--range and --ranges exclude each other");
	if (o->wait && o->unproven)
		return usage_error("--wait and --unproven exclude each other");
	if (o->idle && o->age == 0)
		return usage_error("--idle needs an --age of 1s at least");
	if (o->direct && o->socket)
		return usage_error("--direct and --socket exclude each other");
	return 0;
}

/* What is sent is looked at when it is. */
static int apply_call(int n_words, char *words[], struct options *o)
{
	if (n_words < 2)
		return usage_error("call needs a method, Summarize for one");
	if (n_words > 3)
		return usage_error("call takes a method and its parameters, got \"%s\" too",
				   words[3]);
	o->method = words[1];
	o->parameters = n_words > 2 ? words[2] : NULL;
	return 0;
}

static int apply(const struct verb *verb, const struct given *given, int n, int n_words,
		 char *words[], struct options *o)
{
	for (int i = 0; i < n; i++) {
		const struct option_spec *spec = find_spec(given[i].id);
		int r;

		if (!(spec->verbs & verb->bit))
			return usage_error("%s takes no --%s", verb->name, spec->name);
		r = parse_option(given[i].id, given[i].argument, verb->bit, o);
		if (r != 0)
			return r;
	}
	o->verb = verb->name;
	if (verb->bit == CALL)
		return apply_call(n_words, words, o);
	if (verb->bit == DIFF && parse_generation(n_words < 2 ? NULL : words[--n_words], o) != 0)
		return EXIT_USAGE;
	if (n_words > 1 && (verb->bit & (CAPABILITIES | STATUS)))
		return usage_error("%s takes no object, got \"%s\"", verb->name, words[1]);
	if (n_words > 2)
		return usage_error("%s takes one object, got \"%s\" too", verb->name, words[2]);
	if (n_words == 2) {
		if (object_id_parse(words[1], &o->selector.id) < 0)
			return usage_error(
				"\"%s\" is no object id; expected MAJOR:MINOR:INODE as list "
				"prints it",
				words[1]);
		o->selector.have_id = true;
	}
	return check_combination(verb, o);
}

static size_t fill_getopt(struct option *longs, char *shorts)
{
	size_t n = 0;

	*shorts++ = ':';
	for (; n < ARRAY_SIZE(specs); n++) {
		int has_arg = specs[n].argument ? required_argument : no_argument;

		longs[n] = (struct option){specs[n].name, has_arg, NULL, specs[n].id};
		if (specs[n].id < 256) {
			*shorts++ = (char)specs[n].id;
			if (has_arg)
				*shorts++ = ':';
		}
	}
	longs[n] = (struct option){0};
	*shorts = '\0';
	return n;
}

static int option_error(int c, char *argv[])
{
	const struct option_spec *spec = find_spec(optopt);

	if (c == ':')
		return usage_error("--%s needs %s", spec ? spec->name : "option",
				   spec && spec->argument ? spec->argument : "an argument");
	if (spec)
		return usage_error("--%s takes no argument", spec->name);
	if (optopt != 0)
		return usage_error("unknown option -%c; see shmstatectl --help", optopt);
	return usage_error("unknown option %s; see shmstatectl --help", argv[optind - 1]);
}

const struct verb *options_parse(int argc, char *argv[], struct options *ret, int *ret_code)
{
	struct option longs[ARRAY_SIZE(specs) + 1];
	char shorts[3 * ARRAY_SIZE(specs) + 2];
	_cleanup_free_ struct given *given = calloc((size_t)argc + 1, sizeof(*given));
	struct options o = {.states = ~(page_state_mask)0, .age = 60};
	const struct verb *verb;
	int c, n = 0;

	fill_getopt(longs, shorts);
	opterr = 0;
	*ret_code = EXIT_OK;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return NULL;
		}
		if (c == OPT_VERSION) {
			printf("shmstatectl " PACKAGE_VERSION "\n");
			return NULL;
		}
		if (c == '?' || c == ':' || !given) {
			*ret_code = option_error(c, argv);
			return NULL;
		}
		given[n++] = (struct given){c, optarg};
	}
	verb = find_verb(argc - optind, argv + optind);
	if (!verb)
		*ret_code = optind < argc
				    ? usage_error("unknown verb \"%s\"; see shmstatectl --help",
						  argv[optind])
				    : usage_error("a verb is missing; see shmstatectl --help");
	else
		*ret_code = apply(verb, given, n, argc - optind, argv + optind, &o);
	if (*ret_code != EXIT_OK)
		return NULL;
	*ret = o;
	return verb;
}
