/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A kernel newer than any that we know, as far as it can be had: the one at hand, with BTF that
 * says otherwise. Whatever is altered, the walk must be refused, or a part of it be switched off,
 * both openly, or all that it says be right.
 *
 * As root; what needs swap too with TESTS_ROOT=1 in the environment. SHMSTATE_ALTER_ALL=1 tries
 * each field at the place of each other one (minutes).
 */

#include "altered-btf.h"
#include "known-objects.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/locate.h"

/* All that the programs of a walker read, by the names in bpf/kernel.bpf.h. */
static const struct {
	const char *type;
	const char *member;
} members[] = {
	{"task_struct", "files"},
	{"files_struct", "fdt"},
	{"fdtable", "max_fds"},
	{"fdtable", "fd"},
	{"file", "f_inode"},
	{"inode", "i_mapping"},
	{"inode", "i_size"},
	{"inode", "i_rwsem"},
	{"inode", "i_sb"},
	{"inode", "i_ino"},
	{"inode", "i_mode"},
	{"inode", "i_rdev"},
	{"super_block", "s_dev"},
	{"rw_semaphore", "count"},
	{"address_space", "host"},
	{"address_space", "i_pages"},
	{"address_space", "nrpages"},
	{"address_space", "a_ops"},
	{"xarray", "xa_lock"},
	{"xarray", "xa_head"},
	{"xarray", "xa_flags"},
	{"spinlock", "rlock"},
	{"raw_spinlock", "raw_lock"},
	{"xa_node", "shift"},
	{"xa_node", "slots"},
	{"shmem_inode_info", "alloced"},
	{"shmem_inode_info", "swapped"},
	{"shmem_inode_info", "fallocend"},
	{"shmem_inode_info", "vfs_inode"},
	{"folio", "flags"},
	{"folio", "swap"},
	{"swap_info_struct", "flags"},
	{"swap_info_struct", "type"},
	{"swap_info_struct", "max"},
	{"swap_info_struct", "swap_file"},
	{"swap_info_struct", "swap_map"},
	{"swap_info_struct", "zeromap"},
	{"swap_info_struct", "frontswap_map"},
	{"swap_info_struct", "cluster_info"},
	{"swap_cluster_info", "table"},
	{"swap_cluster_info", "zero_bitmap"},
	{"swap_table", "entries"},
	{"zswap_entry", "pool"},
};

static const char *const types[] = {
	"task_struct",
	"files_struct",
	"fdtable",
	"file",
	"inode",
	"super_block",
	"rw_semaphore",
	"address_space",
	"xarray",
	"spinlock",
	"raw_spinlock",
	"xa_node",
	"folio",
	"shmem_inode_info",
	"swap_info_struct",
	"swap_cluster_info",
	"swap_table",
	"zswap_entry",
	"page",
};

static const char *const values[] = {"PG_locked", "PG_writeback", "PG_uptodate", "PG_dirty"};

enum outcome {
	OUTCOME_REFUSED, /* the portable probe answers, and says why */
	OUTCOME_PARTLY,  /* without the swap's accounting, or with less to tell */
	OUTCOME_RIGHT,
	OUTCOME_WRONG,
	OUTCOME_MAX,
};

static const char *const outcomes[OUTCOME_MAX] = {"refused", "partly off", "right", "WRONG"};

static unsigned counts[OUTCOME_MAX];
static bool verbose;
static bool brief; /* names only, where loading takes long */

/* What a prober says of all known objects. */
static enum outcome ask(struct prober *p, bool locate, char *why, size_t size)
{
	struct kcaps told = caps;
	bool partly = false;

	prober_tell(p, &told);
	if (!p->walker) {
		snprintf(why, size, "%s", strerror(-p->walker_error));
		if (p->walker_error >= 0 || told.error[KCAP_WALK] >= 0 ||
		    told.error[KCAP_SWAP_SLOTS] >= 0)
			return OUTCOME_WRONG;
		return known_are_right(p, false, &partly, why, size) ? OUTCOME_REFUSED
								     : OUTCOME_WRONG;
	}
	if (told.error[KCAP_SWAP_SLOTS] != known_caps.error[KCAP_SWAP_SLOTS]) {
		partly = true;
		snprintf(why, size, "swap_slots: %s", strerror(-told.error[KCAP_SWAP_SLOTS]));
	}
	if (!known_are_right(p, locate, &partly, why, size))
		return OUTCOME_WRONG;
	return partly ? OUTCOME_PARTLY : OUTCOME_RIGHT;
}

struct trial {
	enum outcome outcome;
	char why[200];
};

/* The programs that locate too; and if the kernel refuses those, the others. */
static int try_all(void *context)
{
	struct trial *t = context;
	struct prober p;

	prober_open_to_locate(&p, &caps, PROBE_AUTO);
	t->outcome = ask(&p, true, t->why, sizeof(t->why));
	prober_done(&p);
	if (t->outcome != OUTCOME_REFUSED)
		return 0;
	prober_open(&p, &caps, PROBE_AUTO);
	t->outcome = ask(&p, false, t->why, sizeof(t->why));
	prober_done(&p);
	return 0;
}

static void try(const struct alteration *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void try(const struct alteration *a, const char *format, ...)
{
	_cleanup_free_ char *out = NULL, *err = NULL;
	struct trial t = {.why = ""};
	size_t out_size;
	char what[128];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	altered_btf_set(a);
	capture(try_all, &t, &out, &out_size, &err);
	altered_btf_set(NULL);
	if (out_size > 0 || err[0]) {
		t.outcome = OUTCOME_WRONG;
		snprintf(t.why, sizeof(t.why), "printed <%.80s%.80s>", out, err);
	}
	counts[t.outcome]++;
	if (verbose || t.outcome == OUTCOME_WRONG)
		print_error("%s: %s (%s)\n", what, outcomes[t.outcome], t.why);
}

static void begin(void)
{
	memset(counts, 0, sizeof(counts));
}

static void end(void)
{
	print_message("%u refused, %u partly off, %u right\n", counts[OUTCOME_REFUSED],
		      counts[OUTCOME_PARTLY], counts[OUTCOME_RIGHT]);
	assert_int_equal(counts[OUTCOME_WRONG], 0);
}

static void test_unaltered(void **state)
{
	struct alteration nothing = {0};

	(void)state;
	begin();
	try(&nothing, "nothing");
	assert_int_equal(counts[OUTCOME_RIGHT], 1);
	end();
}

/*
 * A kernel before 6.18, with no table of swap slots, and without a zeromap: that is what those
 * before 6.12 are like, and there are no others.
 */
static bool is_like_an_older_kernel(const char *member, enum alter way)
{
	struct alteration a;

	return way == ALTER_NAME && strcmp(member, "zeromap") == 0 &&
	       !alter_member("swap_cluster_info", "table", ALTER_NAME, &a);
}

static void test_members(void **state)
{
	static const enum alter ways[] = {ALTER_NAME, ALTER_LATER, ALTER_EARLIER, ALTER_NEXT,
					  ALTER_PREVIOUS};
	struct alteration a;

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		for (size_t k = 0; k < (brief ? 1 : ARRAY_SIZE(ways)); k++)
			if (!is_like_an_older_kernel(members[i].member, ways[k]) &&
			    alter_member(members[i].type, members[i].member, ways[k], &a))
				try(&a, "%s.%s %s", members[i].type, members[i].member,
				    alter_to_string(ways[k]));
	end();
}

static void test_types(void **state)
{
	static const int sizes[] = {-8, 8, 64};
	struct alteration a;

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (alter_type_name(types[i], &a))
			try(&a, "%s renamed", types[i]);
		for (size_t k = 0; k < ARRAY_SIZE(sizes) && !brief; k++)
			if (alter_type_size(types[i], sizes[k], &a))
				try(&a, "%s larger by %d", types[i], sizes[k]);
	}
	end();
}

/* There are some 23 flags; all of them in the place of the one that the walk lives by. */
static void test_values(void **state)
{
	struct alteration a;
	int most;

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (alter_value_name(values[i], &a))
			try(&a, "%s renamed", values[i]);
		most = strcmp(values[i], "PG_uptodate") == 0 ? 23 : 2;
		for (int by = -most; by <= most && !brief; by++)
			if (by != 0 && alter_value(values[i], by, &a))
				try(&a, "%s %+d", values[i], by);
	}
	end();
}

static void test_places(void **state)
{
	const char *only = getenv("SHMSTATE_ALTER_ALL");
	struct alteration a;

	(void)state;
	if (!only)
		skip();
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		for (unsigned k = 0;
		     (strcmp(only, "1") == 0 || strcmp(only, members[i].type) == 0) &&
		     alter_place(members[i].type, members[i].member, k, &a);
		     k++)
			try(&a, "%s.%s where member %u is", members[i].type, members[i].member, k);
	end();
}

/* ---- the program itself ---- */

struct answer {
	int status; /* exit status */
	char *out;
	char *err;
};

static int run_command(void *context)
{
	return system(context);
}

/* Of an object of our own, where one is asked for: %d is its descriptor. */
static struct answer run(const char *arguments)
{
	static const char letters[] = "aP.P";
	const char *ctl = getenv("SHMSTATECTL");
	struct answer a = {0};
	char command[512];
	int fd = make(letters), r;

	r = snprintf(command, sizeof(command), "%s %s --pid=%d --fd=%d",
		     ctl ? ctl : "./shmstatectl", arguments, getpid(), fd);
	if (strstr(arguments, "capabilities"))
		*strstr(command, " --pid") = '\0';
	assert_true(r < (int)sizeof(command));
	r = capture(run_command, command, &a.out, NULL, &a.err);
	assert_true(WIFEXITED(r));
	a.status = WEXITSTATUS(r);
	close(fd);
	return a;
}

static void answer_done(struct answer *a)
{
	free(a->out);
	free(a->err);
}

static const char reason[] = "this kernel's page cache is not as the walk knows it";

/* auto answers all the same, and says that it is not by the walk, and why. */
static void check_falls_back(const char *arguments, const char *said)
{
	/* Without cachestat the portable probe cannot tell all, and says so. */
	bool complete = kcaps_has(&caps, KCAP_CACHESTAT) || strstr(arguments, "capabilities");
	struct answer a = run(arguments);

	assert_int_equal(a.status, complete ? 0 : 3);
	assert_int_equal(a.err[0] == '\0', complete);
	if (!strstr(a.out, said) || !strstr(a.out, reason))
		fail_msg("%s: %s", arguments, a.out);
	answer_done(&a);
}

static void check_refuses(const char *arguments)
{
	struct answer a = run(arguments);

	assert_int_equal(a.status, 1);
	assert_string_equal(a.out, "");
	assert_int_equal(count_lines(a.err), 1);
	if (!strstr(a.err, reason) || strncmp(a.err, "shmstatectl: ", 13) != 0)
		fail_msg("%s: %s", arguments, a.err);
	answer_done(&a);
}

static void test_command_line(void **state)
{
	struct alteration a[2];

	(void)state;
	/* A field that is not there, and one that is another. */
	assert_true(alter_member("xa_node", "slots", ALTER_NAME, &a[0]));
	assert_true(alter_member("address_space", "a_ops", ALTER_NEXT, &a[1]));
	for (size_t i = 0; i < ARRAY_SIZE(a); i++) {
		altered_btf_set(&a[i]);
		check_falls_back("capabilities", "probe: portable");
		check_falls_back("capabilities --json=short", "\"probe\":\"portable\"");
		check_falls_back("dump --json=short", "\"probe\":\"portable\"");
		check_falls_back("dump --json=short --probe=auto",
				 kcaps_has(&caps, KCAP_CACHESTAT) ? "\"state\":\"hole\""
								  : "\"state\":\"unknown\"");
		check_falls_back("show", "No walk: ");
		check_refuses("dump --probe=walk");
		check_refuses("dump --probe=verify");
		check_refuses("locate");
	}
	altered_btf_set(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unaltered), cmocka_unit_test(test_members),
		cmocka_unit_test(test_types),     cmocka_unit_test(test_values),
		cmocka_unit_test(test_places),    cmocka_unit_test(test_command_line),
	};
	int r;

	verbose = getenv("SHMSTATE_ALTER_VERBOSE");
	brief = getenv("SHMSTATE_TEST_BRIEF");
	if (objects_setup(NULL) < 0)
		return 99;
	r = known_begin();
	if (r < 0) {
		printf("no walk here: %s\n", strerror(-r));
		return r == -EPERM || r == -EOPNOTSUPP || r == -ENOENT ? 77 : 1;
	}
	r = altered_btf_begin();
	if (r < 0) {
		known_end();
		printf("BTF cannot be altered here: %s\n", strerror(-r));
		return 77;
	}
	r = _cmocka_run_group_tests("kernel-unknown", tests, ARRAY_SIZE(tests), NULL, NULL);
	altered_btf_end();
	known_end();
	return r;
}
