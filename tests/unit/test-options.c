/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <getopt.h>
#include <string.h>

#include "config.h"
#include "ctl/options.h"

#define WORDS_MAX 16

/* A command line under way. The words are cut out of a copy of the text, at each blank. */
struct parsing {
	char *words[WORDS_MAX];
	int n;
	struct options options;
	const struct verb *verb;
	int code;
};

static int parse(void *context)
{
	struct parsing *p = context;

	optind = 0; /* getopt starts anew */
	p->verb = options_parse(p->n, p->words, &p->options, &p->code);
	return 0;
}

/* Parses "verb word --option ...": a word may be empty, written as ''. The caller frees copy. */
static struct parsing parse_line(const char *line, char **ret_out, char **ret_err, char **ret_copy)
{
	struct parsing p = {.n = 1, .code = -1};
	char *copy = strdup(line), *rest = copy, *word;

	p.words[0] = (char *)"shmstatectl";
	while ((word = strsep(&rest, " "))) {
		assert_true(p.n < WORDS_MAX - 1);
		if (strcmp(word, "''") == 0)
			*word = '\0';
		p.words[p.n++] = word;
	}
	if (line[0] == '\0')
		p.n = 1;
	p.words[p.n] = NULL;
	capture(parse, &p, ret_out, NULL, ret_err);
	*ret_copy = copy;
	return p;
}

/* Taken without a word; *ret_copy owns the strings in the result. */
static struct options taken(const char *line, const char *verb, char **ret_copy)
{
	char *out, *err;
	struct parsing p = parse_line(line, &out, &err, ret_copy);

	if (!p.verb || strcmp(p.verb->name, verb) != 0 || out[0] || err[0])
		fail_msg("\"%s\" was not taken: %s%s", line, out, err);
	assert_int_equal(p.code, EXIT_OK);
	free(out);
	free(err);
	return p.options;
}

static void refused(const char *line, const char *expected_err)
{
	char *out, *err, *copy;
	struct parsing p = parse_line(line, &out, &err, &copy);

	if (p.verb || p.code != EXIT_USAGE || out[0])
		fail_msg("\"%s\" was taken, code %d", line, p.code);
	if (count_lines(err) != 1 || strncmp(err, "shmstatectl: ", 13) != 0)
		fail_msg("\"%s\": not one line of stderr: %s", line, err);
	if (strncmp(err + 13, expected_err, strlen(expected_err)) != 0)
		fail_msg("\"%s\": said \"%s\", expected \"%s\"", line, err + 13, expected_err);
	free(out);
	free(err);
	free(copy);
}

/* Which option goes with which verb. A verb's letter: l d s p c, pageout o, candidates k, refaults
 * R, status S, call C, diff D, monitor m, watch w.
 */
static const struct {
	const char *option, *argument;
	const char *with; /* what else it takes to be accepted */
	const char *verbs;
} matrix[] = {
	{"--pid", "=1", "", "ldspDokRmw"},
	{"--fd", "=0", " --pid=1", "ldspDokRmw"},
	{"--address", "=7f0000001000", " --pid=1", "ldspDokRmw"},
	{"--path", "=/dev/shm/x", "", "ldspDokRmw"},
	{"--name", "=guest", "", "ldspDokRmw"},
	{"--kind", "=memfd", "", "l"},
	{"--sort", "=id", "", "l"},
	{"--reverse", "", "", "l"},
	{"-r", "", "", "l"},
	{"--bytes", "", "", "lsdDom"},
	{"-b", "", "", "lsdDom"},
	{"--state", "=swapped", "", "dpDw"},
	{"--range", "=0+1", "", "dpDokRw"},
	{"--settle", "=2s", "", "dD"},
	{"--probe", "=portable", "", "ldspDkRmw"},
	{"--format", "=csv", "", "dpDokR"},
	{"--format", "=bitmap", " --state=swapped", "d"},
	{"--format", "=raw", "", "p"},
	{"--write", "=/tmp/x", " --format=raw", "p"},
	{"--output", "=id", "", "ldpcDkR"},
	{"-o", " id", "", "ldpcDkR"},
	{"--direct", "", "", "ldspco"},
	{"--socket", "=/x", "", "ldspcSCDokRmw"},
	{"--more", "", "", "C"},
	{"--json", "=short", "", "ldspcSCDokRmw"},
	{"--no-legend", "", "", "ldspcSCDokRmw"},
	{"--no-pager", "", "", "ldspcSCDokRmw"},
	{"--ranges", "=-", "", "o"},
	{"--rate", "=100M", "", "o"},
	{"--max", "=512M", "", "ok"},
	{"--dry-run", "", "", "o"},
	{"--age", "=10min", "", "k"},
	{"--wait", "", "", "k"},
	{"--unproven", "", "", "k"},
	{"--idle", "", "", "k"},
	{"--interval", "=500ms", "", "m"},
	{"--count", "=3", "", "mw"},
	{"--by", "=unit", "", "m"},
};

static const struct {
	const char *name;
	char letter;
} verbs[] = {
	{"list", 'l'},         {"dump", 'd'},       {"show", 's'},     {"pagemap", 'p'},
	{"capabilities", 'c'}, {"status", 'S'},     {"call", 'C'},     {"diff", 'D'},
	{"pageout", 'o'},      {"candidates", 'k'}, {"refaults", 'R'}, {"monitor", 'm'},
	{"watch", 'w'},
};

/* What the verb cannot do without, unless the option brings it. */
static const char *needs(const char *verb, const char *option)
{
	bool selects = strcmp(option, "--pid") == 0 || strcmp(option, "--path") == 0 ||
		       strcmp(option, "--name") == 0;

	if (strcmp(verb, "pagemap") == 0 && strcmp(option, "--pid") != 0)
		return " --pid=1";
	if (strcmp(verb, "call") == 0)
		return " GetStatus";
	if (strcmp(verb, "diff") == 0)
		return selects ? " 7" : " 00:01:5 7";
	if ((strcmp(verb, "dump") == 0 || strcmp(verb, "show") == 0 ||
	     strcmp(verb, "pageout") == 0 || strcmp(verb, "candidates") == 0 ||
	     strcmp(verb, "refaults") == 0 || strcmp(verb, "watch") == 0) &&
	    !selects)
		return " 00:01:5";
	return "";
}

static struct options live(const char *line)
{
	char *copy;
	struct options o = taken(line, "monitor", &copy);

	free(copy);
	return o;
}

static void test_live(void **state)
{
	(void)state;
	assert_int_equal(live("monitor").interval, 0);
	assert_int_equal(live("monitor --interval 2").interval, 2000);
	assert_int_equal(live("monitor --interval 100ms --count 7").count, 7);
	assert_true(live("monitor --by=unit").by_unit);
	assert_false(live("monitor --by=object 00:01:5").by_unit);
	refused("monitor --interval=99ms", "--interval=99ms: expected a time from 100ms to 40s");
	refused("monitor --interval=41", "--interval=41: expected a time from 100ms to 40s");
	refused("monitor --count=0", "--count=0: expected a number from 1 on");
	refused("watch 00:01:5 --count=x", "--count=x: expected a number from 1 on");
	refused("monitor --by=user", "--by=user: expected one of object, unit");
	refused("watch", "watch needs an object");
}

static void test_every_option_on_every_verb(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(verbs); v++) {
		for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
			char line[256], *copy;

			snprintf(line, sizeof(line), "%s%s%s %s%s", verbs[v].name,
				 needs(verbs[v].name, matrix[i].option), matrix[i].with,
				 matrix[i].option, matrix[i].argument);
			if (strchr(matrix[i].verbs, verbs[v].letter)) {
				taken(line, verbs[v].name, &copy);
				free(copy);
			} else if (strcmp(matrix[i].option, "--format") != 0 ||
				   !strchr("dpDokR", verbs[v].letter)) {
				snprintf(line, sizeof(line), "%s %s%s", verbs[v].name,
					 matrix[i].option, matrix[i].argument);
				refused(line, verbs[v].name); /* "list takes no --write" */
			}
		}
	}
}

static void test_values(void **state)
{
	struct options o;
	char *copy;

	(void)state;
	o = taken("list", "list", &copy);
	assert_true(selector_is_empty(&o.selector));
	assert_int_equal(o.states, ~(page_state_mask)0);
	assert_false(o.have_states || o.no_legend || o.no_pager || o.reverse || o.bytes);
	assert_null(o.columns);
	assert_int_equal(o.format, FORMAT_TABLE);
	assert_int_equal(o.json, JSON_OFF);
	free(copy);

	o = taken("dump 00:01:25@1f --state=swapped,hole --range=0-1M --no-legend -o first -b",
		  "dump", &copy);
	assert_true(o.selector.have_id && o.selector.id.have_generation && o.have_states);
	assert_int_equal(o.selector.id.ino, 25);
	assert_int_equal(o.selector.id.generation, 0x1f);
	assert_int_equal(o.states, PAGE_STATE_BIT(PAGE_SWAPPED) | PAGE_STATE_BIT(PAGE_HOLE));
	assert_string_equal(o.range, "0-1M");
	assert_string_equal(o.columns, "first");
	assert_true(o.no_legend && o.bytes);
	free(copy);

	o = taken("show --pid=12 --fd=0 --address=0x7f0000001000 --no-pager", "show", &copy);
	assert_int_equal(o.selector.pid, 12);
	assert_true(o.selector.have_fd && o.selector.have_address && o.no_pager);
	assert_int_equal(o.selector.fd, 0);
	assert_int_equal(o.selector.address, 0x7f0000001000);
	free(copy);

	o = taken("list --kind=memfd,anon --kind=tmpfs --sort=size -r --path=/x --name=y", "list",
		  &copy);
	assert_int_equal(o.kinds, 1u << OBJECT_MEMFD | 1u << OBJECT_ANON | 1u << OBJECT_TMPFS);
	assert_string_equal(o.sort, "size");
	assert_true(o.reverse);
	assert_string_equal(o.selector.path, "/x");
	assert_string_equal(o.selector.name, "y");
	free(copy);

	o = taken("pagemap --pid=1 --format=raw --write=/tmp/x", "pagemap", &copy);
	assert_int_equal(o.format, FORMAT_RAW);
	assert_string_equal(o.write_file, "/tmp/x");
	free(copy);
}

static void test_pageout(void **state)
{
	struct options o;
	char *copy;

	(void)state;
	o = taken("pageout 0:1:5", "pageout", &copy);
	assert_false(o.dry_run || o.ranges_file || o.rate || o.max_bytes);
	free(copy);
	o = taken("pageout 0:1:5 --rate=1 --max=4096 --ranges=- --dry-run", "pageout", &copy);
	assert_true(o.dry_run);
	assert_int_equal(o.rate, 1);
	assert_int_equal(o.max_bytes, 4096);
	assert_string_equal(o.ranges_file, "-");
	free(copy);
	o = taken("pageout --name=x --rate=100M --max=2G --json=short", "pageout", &copy);
	assert_int_equal(o.rate, 100 << 20);
	assert_int_equal(o.max_bytes, UINT64_C(2) << 30);
	assert_int_equal(o.format, FORMAT_JSON);
	free(copy);
}

static void test_candidates(void **state)
{
	struct options o;
	char *copy;

	(void)state;
	o = taken("candidates 0:1:5", "candidates", &copy);
	assert_int_equal(o.age, 60);
	assert_false(o.wait || o.unproven || o.max_bytes);
	free(copy);
	o = taken("candidates 0:1:5 --age=10min --max=1M --wait", "candidates", &copy);
	assert_int_equal(o.age, 600);
	assert_int_equal(o.max_bytes, 1 << 20);
	assert_true(o.wait);
	free(copy);
	o = taken("candidates --pid=1 --age=0s --unproven --json=short", "candidates", &copy);
	assert_int_equal(o.age, 0);
	assert_true(o.unproven);
	free(copy);
}

static void test_service(void **state)
{
	struct options o;
	char *copy;

	(void)state;
	o = taken("list", "list", &copy);
	assert_false(o.direct || o.more);
	assert_null(o.socket);
	free(copy);
	o = taken("dump 0:1:5 --socket=/x", "dump", &copy);
	assert_string_equal(o.socket, "/x");
	assert_string_equal(o.verb, "dump");
	free(copy);
	o = taken("call Summarize {} --more", "call", &copy);
	assert_string_equal(o.method, "Summarize");
	assert_string_equal(o.parameters, "{}");
	assert_true(o.more);
	free(copy);
	o = taken("diff 0:1:5 --settle=250ms 1234567890123 --state=swapped", "diff", &copy);
	assert_true(o.selector.have_id);
	assert_int_equal(o.since, 1234567890123);
	assert_int_equal(o.settle, 250);
	free(copy);
	o = taken("diff --name=guest 7", "diff", &copy);
	assert_false(o.selector.have_id);
	assert_int_equal(o.since, 7);
	free(copy);
	o = taken("status --json=short", "status", &copy);
	assert_int_equal(o.format, FORMAT_JSON);
	free(copy);
}

static void check_format(const char *line, enum output_format format, enum json_mode json)
{
	char *copy;
	struct options o = taken(line, "dump", &copy);

	assert_int_equal(o.format, format);
	assert_int_equal(o.json, json);
	free(copy);
}

static void test_formats(void **state)
{
	(void)state;
	check_format("dump 0:1:5", FORMAT_TABLE, JSON_OFF);
	check_format("dump 0:1:5 --format=table", FORMAT_TABLE, JSON_OFF);
	check_format("dump 0:1:5 --format=json", FORMAT_JSON, JSON_SHORT);
	check_format("dump 0:1:5 --json=pretty", FORMAT_JSON, JSON_PRETTY);
	check_format("dump 0:1:5 --json=short", FORMAT_JSON, JSON_SHORT);
	check_format("dump 0:1:5 --json=off", FORMAT_TABLE, JSON_OFF);
	check_format("dump 0:1:5 --json=pretty --format=json", FORMAT_JSON, JSON_PRETTY);
	check_format("dump 0:1:5 --format=csv --json=off", FORMAT_CSV, JSON_OFF);
	check_format("dump 0:1:5 --format=bitmap --state=hole", FORMAT_BITMAP, JSON_OFF);
}

/* The verb and the object may stand anywhere; what is given as "--x Y" is as good as "--x=Y". */
static void test_order(void **state)
{
	struct options o;
	char *copy;

	(void)state;
	o = taken("--no-legend dump --state swapped 00:01:5 --range 1+2", "dump", &copy);
	assert_true(o.no_legend && o.have_states && o.selector.have_id);
	assert_string_equal(o.range, "1+2");
	free(copy);
	taken("--pid 1 pagemap", "pagemap", &copy);
	free(copy);
	taken("list -- 00:01:5", "list", &copy);
	free(copy);
	taken("list -rb", "list", &copy);
	free(copy);
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
		{"dump 0:1:5 --settle=0", "--settle=0: expected a time from 1ms to 60s\n"},
		{"dump 0:1:5 --settle=61s", "--settle=61s: expected"},
		{"dump 0:1:5 --settle=1m", "--settle=1m: expected"},
		{"diff 0:1:5 --settle=-1s 7", "--settle=-1s: expected"},
		{"diff 0:1:5 0", "\"0\" is no generation; expected its number"},
		{"diff 0:1:5 9223372036854775808", "\"9223372036854775808\" is no generation"},
		{"diff 0:1:5 -7", "unknown option -7"},
		{"list --pid=0", "--pid=0: expected the number of a process\n"},
		{"list --pid=-1", "--pid=-1: expected"},
		{"list --pid=self", "--pid=self: expected"},
		{"list --pid=99999999999", "--pid=99999999999: expected"},
		{"list --pid ''", "--pid=: expected"},
		{"list --pid=1 --fd=-1", "--fd=-1: expected the number of a descriptor\n"},
		{"list --pid=1 --fd=x", "--fd=x: expected"},
		{"list --pid=1 --address=zz", "--address=zz: expected a hexadecimal address\n"},
		{"list --pid=1 --address=10000000000000000",
		 "--address=10000000000000000: expected"},
		{"list --kind=file",
		 "--kind=file: \"file\" is no kind; expected memfd, tmpfs, sysv, "
		 "anon, shmem, hugetlb, secretmem or guest_memfd\n"},
		{"list --kind=memfd,", "--kind=memfd,: \"\" is no kind; expected"},
		{"list --kind ''", "--kind=: \"\" is no kind; expected"},
		{"list --json=long", "--json=long: expected one of off, short, pretty\n"},
		{"list --probe=Walk",
		 "--probe=Walk: expected one of auto, walk, portable, verify\n"},
		{"list --json=Pretty", "--json=Pretty: expected one of off, short, pretty\n"},
		{"dump 0:1:5 --format=xml",
		 "--format=xml: expected one of table, json, csv, bitmap\n"},
		{"dump 0:1:5 --format=raw",
		 "--format=raw: expected one of table, json, csv, bitmap\n"},
		{"pagemap --pid=1 --format=bitmap",
		 "--format=bitmap: expected one of table, json, csv, raw\n"},
		{"dump 0:1:5 --state=swap", "--state=swap: \"swap\" is no state; expected hole, "
					    "allocated, present, swap_cache, swapped, poisoned, "
					    "in_core or unknown\n"},
		{"dump 0:1:5 --state=hole,nil,present",
		 "--state=hole,nil,present: \"nil\" is no state; expected"},
		{"dump 0:1:5 --state ''", "--state=: \"\" is no state; expected"},
		{"dump x", "\"x\" is no object id; expected MAJOR:MINOR:INODE as list prints it\n"},
		{"dump ''", "\"\" is no object id; expected"},
		{"dump 0:1:5 0:1:6", "dump takes one object, got \"0:1:6\" too\n"},
		{"capabilities 0:1:5", "capabilities takes no object, got \"0:1:5\"\n"},
		{"status 0:1:5", "status takes no object, got \"0:1:5\"\n"},
		{"pageout 0:1:5 --rate=0", "--rate=0: expected a number of bytes, or with K, M, G "
					   "or T behind it, of at least 1\n"},
		{"pageout 0:1:5 --rate=fast", "--rate=fast: expected a number of bytes"},
		{"pageout 0:1:5 --rate=-1", "--rate=-1: expected"},
		{"pageout 0:1:5 --max=100", "--max=100: expected a number of bytes"},
		{"pageout 0:1:5 --max=16777216T", "--max=16777216T: expected"},
		{"pageout 0:1:5 --format=bitmap",
		 "--format=bitmap: expected one of table, json, csv\n"},
		{"call", "call needs a method, Summarize for one\n"},
		{"call a {} {}", "call takes a method and its parameters, got \"{}\" too\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(cases[i].line, cases[i].error);
}

static void test_bad_combinations(void **state)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
		{"", "a verb is missing; see shmstatectl --help\n"},
		{"--no-pager", "a verb is missing"},
		{"''", "unknown verb \"\""},
		{"lists", "unknown verb \"lists\"; see shmstatectl --help\n"},
		{"List", "unknown verb \"List\""},
		{"list --fd=3", "--fd needs --pid\n"},
		{"list --address=1000", "--address needs --pid\n"},
		{"dump",
		 "dump needs an object: an id as list prints it, or --pid, --path or --name\n"},
		{"show", "show needs an object: an id"},
		{"diff", "diff needs a generation, as dump, show and diff tell it\n"},
		{"diff 7", "diff needs an object: an id"},
		{"diff 0:1:5", "\"0:1:5\" is no generation"},
		{"diff 0:1:5 6 7", "diff takes one object, got \"6\" too\n"},
		{"diff 0:1:5 7 --direct", "diff takes no --direct\n"},
		{"candidates", "candidates needs an object: an id"},
		{"candidates 0:1:5 --direct", "candidates takes no --direct\n"},
		{"candidates 0:1:5 --wait --unproven",
		 "--wait and --unproven exclude each other\n"},
		{"candidates 0:1:5 --idle --age=0", "--idle needs an --age of 1s at least\n"},
		{"refaults 0:1:5 --idle", "refaults takes no --idle\n"},
		{"candidates 0:1:5 --age=500ms",
		 "--age=500ms: expected a time from 0s to 1h, in whole seconds\n"},
		{"candidates 0:1:5 --age=2h", "--age=2h: expected a time"},
		{"candidates 0:1:5 --age=-1", "--age=-1: expected a time"},
		{"refaults", "refaults needs an object: an id"},
		{"refaults 0:1:5 --age=1s", "refaults takes no --age\n"},
		{"pageout", "pageout needs an object: an id"},
		{"pageout --dry-run --max=1M", "pageout needs an object: an id"},
		{"pageout 0:1:5 --range=0+1 --ranges=-",
		 "--range and --ranges exclude each other\n"},
		{"pagemap", "pagemap needs --pid\n"},
		{"pagemap 0:1:5", "pagemap needs --pid\n"},
		{"pagemap --name=x", "pagemap needs --pid\n"},
		{"dump 0:1:5 --format=csv --json=short", "--json and another --format exclude"},
		{"pagemap --pid=1 --format=raw --json=pretty",
		 "--json and another --format exclude"},
		{"dump 0:1:5 --format=bitmap", "--format=bitmap needs --state"},
		{"pagemap --pid=1 --format=raw --state=swapped",
		 "--format=raw and --state exclude each other\n"},
		{"pagemap --pid=1 --write=/tmp/x", "--write needs --format=raw\n"},
		{"pagemap --pid=1 --write=/tmp/x --format=csv", "--write needs --format=raw\n"},
		{"list --direct --socket=/x", "--direct and --socket exclude each other\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(cases[i].line, cases[i].error);
}

static void test_unknown_options(void **state)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
		{"list --nil", "unknown option --nil; see shmstatectl --help\n"},
		{"list --nil=3", "unknown option --nil"},
		{"--nil list", "unknown option --nil; see"},
		{"list -x", "unknown option -x; see shmstatectl --help\n"},
		{"list -rx", "unknown option -x; see"},
		{"list --no", "unknown option --no; see"}, /* --no-legend or --no-pager? */
		{"list --pid", "--pid needs PID\n"},
		{"list -o", "--output needs COLUMN,...\n"},
		{"list --output", "--output needs COLUMN,...\n"},
		{"dump 0:1:5 --state", "--state needs STATE,...\n"},
		{"list --no-legend=yes", "--no-legend takes no argument\n"},
		{"list --version=1", "--version takes no argument\n"},
		/* These have a letter too. */
		{"list --reverse=yes", "--reverse takes no argument\n"},
		{"list --bytes=yes", "--bytes takes no argument\n"},
		{"list --help=me", "--help takes no argument\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(cases[i].line, cases[i].error);
}

/* What is not ASCII, or would break or colour the line: still one line, and it names the input. */
static void test_odd_bytes(void **state)
{
	(void)state;
	refused("list --\xc3\xa9", "unknown option --\xc3\xa9; see");
	refused("list --pid=1\n2", "--pid=1\\x0a2: expected");
	refused("li\nst", "unknown verb \"li\\x0ast\"");
	refused("dump 0:1:5 --state=\033[31m", "--state=\\x1b[31m: ");
	refused("dump \xff", "\"\\xff\" is no object id");
	refused("list -\xc3\xa9", "unknown option -\\xc3; see");
}

static void check_told(const char *line, const char *begin)
{
	char *out, *err, *copy;
	struct parsing p = parse_line(line, &out, &err, &copy);

	assert_null(p.verb);
	assert_int_equal(p.code, EXIT_OK);
	assert_string_equal(err, "");
	assert_int_equal(strncmp(out, begin, strlen(begin)), 0);
	assert_true(count_lines(out) != SIZE_MAX);
	free(out);
	free(err);
	free(copy);
}

static void test_help_and_version(void **state)
{
	(void)state;
	check_told("--help", "Usage: shmstatectl VERB [OBJECT] [OPTION...]\n");
	check_told("-h", "Usage: ");
	check_told("dump --help", "Usage: ");
	check_told("nil --help", "Usage: ");
	check_told("--version", "shmstatectl " PACKAGE_VERSION "\n");
	check_told("list --version", "shmstatectl ");
}

/* The option table, --help and this test know the same options. */
static void test_help_names_everything(void **state)
{
	char *out, *err, *copy;

	(void)state;
	parse_line("--help", &out, &err, &copy);
	for (size_t i = 0; i < ARRAY_SIZE(matrix); i++)
		assert_non_null(strstr(out, matrix[i].option));
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		assert_non_null(strstr(out, verbs[i].name));
	for (const char *p = out; (p = strstr(p, "\n  ")); p++) {
		const char *option = p + 3 + strspn(p + 3, " ");
		bool known = option[0] != '-';

		if (option[0] == '-' && option[1] != '-')
			option += 4; /* "-r, " */
		for (size_t i = 0; i < ARRAY_SIZE(matrix) && !known; i++)
			known = strncmp(option, matrix[i].option, strlen(matrix[i].option)) == 0;
		if (!known && strncmp(option, "--help", 6) != 0 &&
		    strncmp(option, "--version", 9) != 0)
			fail_msg("not tested here: %.20s", option);
	}
	free(out);
	free(err);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_option_on_every_verb),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_pageout),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_combinations),
		cmocka_unit_test(test_unknown_options),
		cmocka_unit_test(test_odd_bytes),
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_help_names_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
