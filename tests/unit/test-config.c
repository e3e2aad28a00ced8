/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/config.h"

/* A root of its own a test, and what was complained about. */
struct fixture {
	char root[64];
	char complaints[4096]; /* "FILE:LINE: MESSAGE\n", FILE below the root */
	struct config config;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->root, "/tmp/test-config.XXXXXX");
	assert_non_null(mkdtemp(f->root));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", f->root);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static const char *below(const struct fixture *f, const char *path)
{
	static char buf[256];

	snprintf(buf, sizeof(buf), "%s%s", f->root, path);
	return buf;
}

static void make_folders(const struct fixture *f, const char *path)
{
	char *copy = strdup(path);

	assert_non_null(copy);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(below(f, copy), 0755) < 0)
			assert_int_equal(errno, EEXIST);
		*slash = '/';
	}
	free(copy);
}

static void write_bytes(const struct fixture *f, const char *path, const char *text, size_t n)
{
	FILE *file;

	make_folders(f, path);
	file = fopen(below(f, path), "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static void write_text(const struct fixture *f, const char *path, const char *text)
{
	write_bytes(f, path, text, strlen(text));
}

static void note(void *context, const char *file, unsigned line, const char *message)
{
	struct fixture *f = context;
	size_t used = strlen(f->complaints), root = strlen(f->root);

	if (strncmp(file, f->root, root) == 0)
		file += root;
	snprintf(f->complaints + used, sizeof(f->complaints) - used, "%s:%u: %s\n", file, line,
		 message);
}

static int load(struct fixture *f)
{
	f->complaints[0] = '\0';
	memset(&f->config, 0xa5, sizeof(f->config));
	return config_load(f->root, NULL, note, f, &f->config);
}

#define MAIN "/etc/shmstate/shmstated.conf"

/* What the text as the main file is complained about; "": nothing. */
static void expect_complaints(struct fixture *f, const char *text, const char *complaints)
{
	write_text(f, MAIN, text);
	assert_int_equal(load(f), 0);
	if (strcmp(f->complaints, complaints) != 0)
		fail_msg("<%s>: <%s>, not <%s>", text, f->complaints, complaints);
}

static void check_defaults(const struct config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	assert_int_equal(config->workers, cpus < 2 ? 1 : 2);
	assert_int_equal(config->connections, 4096);
	assert_int_equal(config->connections_per_user, 1024);
	assert_int_equal(config->pipelined_calls, 64);
	assert_int_equal(config->message_bytes, 1 << 20);
	assert_int_equal(config->queued_bytes, 4 << 20);
	assert_int_equal(config->queued_scans, 256);
	assert_int_equal(config->scan_seconds, 30);
	assert_int_equal(config->send_seconds, 30);
	assert_int_equal(config->idle_seconds, 60);
	assert_int_equal(config->probe, PROBE_AUTO);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	struct config config;

	config_default(&config);
	check_defaults(&config);
	assert_int_equal(load(f), 0);
	check_defaults(&f->config);
	assert_string_equal(f->complaints, "");
	expect_complaints(f, "", "");
	check_defaults(&f->config);
}

static void test_every_key(void **state)
{
	struct fixture *f = *state;
	const struct config *c = &f->config;

	expect_complaints(f,
			  "[Service]\nWorkers=3\nConnections=10\nConnectionsPerUser=11\n"
			  "PipelinedCalls=12\nMessageBytes=64K\nQueuedBytes=65537\nQueuedScans=13\n"
			  "ScanSeconds=14\nSendSeconds=15\nIdleSeconds=0\nProbe=portable\n",
			  "");
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->connections, 10);
	assert_int_equal(c->connections_per_user, 11);
	assert_int_equal(c->pipelined_calls, 12);
	assert_int_equal(c->message_bytes, 65536);
	assert_int_equal(c->queued_bytes, 65537);
	assert_int_equal(c->queued_scans, 13);
	assert_int_equal(c->scan_seconds, 14);
	assert_int_equal(c->send_seconds, 15);
	assert_int_equal(c->idle_seconds, 0);
	assert_int_equal(c->probe, PROBE_PORTABLE);
}

/* The last one counts; an empty one takes it back; the longest reply fits whatever is said. */
static void test_assignments(void **state)
{
	struct fixture *f = *state;

	expect_complaints(f, "[Service]\nScanSeconds=1\nScanSeconds=2\n", "");
	assert_int_equal(f->config.scan_seconds, 2);
	expect_complaints(f, "[Service]\nScanSeconds=1\nScanSeconds=\nWorkers=\nProbe=\n", "");
	check_defaults(&f->config);
	expect_complaints(f, "[Service]\nMessageBytes=16M\n", "");
	assert_int_equal(f->config.queued_bytes, 16 << 20);
	expect_complaints(f, "[Service]\nQueuedBytes=64K\n", "");
	assert_int_equal(f->config.queued_bytes, 1 << 20);
}

static void test_form(void **state)
{
	struct fixture *f = *state;

	expect_complaints(f,
			  "# remark\n; another\n\n \t\n[Service]\r\n"
			  "  ScanSeconds \t= 7 \r\n#ScanSeconds=8\n ; ScanSeconds=9\n"
			  "X-Note=mine\nSendSeconds=5",
			  "");
	assert_int_equal(f->config.scan_seconds, 7);
	assert_int_equal(f->config.send_seconds, 5);
	/* a section may come again; what others keep there is not looked at */
	expect_complaints(f,
			  "[X-Other]\nWhatever\nScanSeconds=1\n[Service]\nScanSeconds=2\n"
			  "[X-Other]\nScanSeconds=3\n[Service]\nSendSeconds=4\n",
			  "");
	assert_int_equal(f->config.scan_seconds, 2);
	assert_int_equal(f->config.send_seconds, 4);
}

/* One line each, and what is right counts all the same. */
static void test_bad_lines(void **state)
{
	struct fixture *f = *state;

	expect_complaints(f, "[Service]\nscanseconds=1\n",
			  MAIN ":2: scanseconds=: there is no such key in [Service]\n");
	expect_complaints(f, "[Service]\nScanSeconds\n",
			  MAIN ":2: ScanSeconds: expected KEY=VALUE\n");
	expect_complaints(f, "[Service]\n=5\n", MAIN ":2: =5: expected KEY=VALUE\n");
	expect_complaints(f, "ScanSeconds=1\n",
			  MAIN ":1: ScanSeconds=1: expected [Service] before it\n");
	check_defaults(&f->config);
	expect_complaints(f, "[Unit]\nScanSeconds=1\n[Service]\nSendSeconds=2\n",
			  MAIN ":1: [Unit]: there is no such section, only [Service]\n");
	assert_int_equal(f->config.scan_seconds, 30);
	assert_int_equal(f->config.send_seconds, 2);
	expect_complaints(f, "[Service\nScanSeconds=1\n",
			  MAIN ":1: [Service: expected ] at the end\n");
	/* nothing of a file moves the cursor of whoever reads the message */
	expect_complaints(f, "[Service]\n\x1b[2J=1\n",
			  MAIN ":2: \\x1b[2J=: there is no such key in [Service]\n");
	write_bytes(f, MAIN, "[Service]\nScanSeconds=1\n\0\n", 26);
	assert_int_equal(load(f), 0);
	assert_string_equal(f->complaints,
			    MAIN ":0: it holds a NUL byte, so it is no text: none of it is used\n");
	check_defaults(&f->config);
}

static void test_bad_values(void **state)
{
	static const char *const counts[] = {"0",          "65",  "-1",
					     "+1",         "1.5", "0x2",
					     "two",        "1 2", "18446744073709551617",
					     "4294967297", "2K",  "\"2\""};
	static const char *const bytes[] = {"65535", "4K",  "17M", "1G", "1MB",
					    "M",     "-1M", "1 M", "64T"};
	static const char *const probes[] = {"verify", "Auto", "bpf", "1"};
	struct fixture *f = *state;
	char text[256], expected[256];

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		snprintf(text, sizeof(text), "[Service]\nWorkers=7\nWorkers=%s\n", counts[i]);
		snprintf(expected, sizeof(expected),
			 MAIN ":3: Workers=%s: expected a whole number from 1 to 64\n", counts[i]);
		expect_complaints(f, text, expected);
		/* it stays as it was */
		assert_int_equal(f->config.workers, 7);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		snprintf(text, sizeof(text), "[Service]\nMessageBytes=%s\n", bytes[i]);
		snprintf(expected, sizeof(expected),
			 MAIN
			 ":2: MessageBytes=%s: expected a number of bytes from 64K to 16M, with "
			 "K or M behind it\n",
			 bytes[i]);
		expect_complaints(f, text, expected);
		check_defaults(&f->config);
	}
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		snprintf(text, sizeof(text), "[Service]\nProbe=%s\n", probes[i]);
		snprintf(expected, sizeof(expected),
			 MAIN ":2: Probe=%s: expected one of auto, walk, portable\n", probes[i]);
		expect_complaints(f, text, expected);
		check_defaults(&f->config);
	}
}

static void test_long_line(void **state)
{
	struct fixture *f = *state;
	static char text[100000];

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "[Service]\nWorkers=", 18);
	write_text(f, MAIN, text);
	assert_int_equal(load(f), 0);
	assert_int_equal(count_lines(f->complaints), 1);
	assert_non_null(strstr(f->complaints, ":2: Workers=xxx"));
	assert_non_null(strstr(f->complaints, "xxx...: expected a whole number from 1 to 64\n"));
	assert_true(strlen(f->complaints) < 200);
}

/* The first main file that is found, wherever; a drop-in of each name; in order of the names. */
static void test_folders(void **state)
{
	struct fixture *f = *state;

	write_text(f, "/usr/lib/shmstate/shmstated.conf",
		   "[Service]\nScanSeconds=1\nSendSeconds=1\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 1);
	write_text(f, "/run/shmstate/shmstated.conf", "[Service]\nScanSeconds=2\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 2);
	assert_int_equal(f->config.send_seconds, 30);
	write_text(f, MAIN, "[Service]\nScanSeconds=3\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 3);

	write_text(f, "/etc/shmstate/shmstated.conf.d/10-a.conf", "[Service]\nScanSeconds=4\n");
	write_text(f, "/usr/lib/shmstate/shmstated.conf.d/20-b.conf", "[Service]\nScanSeconds=5\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 5);
	write_text(f, "/run/shmstate/shmstated.conf.d/20-b.conf", "[Service]\nSendSeconds=6\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 4);
	assert_int_equal(f->config.send_seconds, 6);
	/* each starts anew: no section lasts from one file to the next */
	write_text(f, "/etc/shmstate/shmstated.conf.d/30-c.conf", "ScanSeconds=7\n");
	assert_int_equal(load(f), 0);
	assert_string_equal(f->complaints, "/etc/shmstate/shmstated.conf.d/30-c.conf:1: "
					   "ScanSeconds=7: expected [Service] before it\n");
	/* names that are no drop-ins */
	write_text(f, "/etc/shmstate/shmstated.conf.d/30-c.conf", "");
	write_text(f, "/etc/shmstate/shmstated.conf.d/40-d.conf~", "[Service]\nScanSeconds=8\n");
	write_text(f, "/etc/shmstate/shmstated.conf.d/.50-e.conf", "[Service]\nScanSeconds=8\n");
	write_text(f, "/etc/shmstate/shmstated.conf.d/README", "[Service]\nScanSeconds=8\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 4);
	assert_string_equal(f->complaints, "");
}

static void test_masked(void **state)
{
	struct fixture *f = *state;

	write_text(f, "/usr/lib/shmstate/shmstated.conf", "[Service]\nScanSeconds=1\n");
	write_text(f, "/usr/lib/shmstate/shmstated.conf.d/10-a.conf", "[Service]\nSendSeconds=1\n");
	make_folders(f, "/etc/shmstate/shmstated.conf.d/");
	assert_int_equal(symlink("/dev/null", below(f, MAIN)), 0);
	assert_int_equal(symlink("/dev/null", below(f, "/etc/shmstate/shmstated.conf.d/10-a.conf")),
			 0);
	assert_int_equal(load(f), 0);
	check_defaults(&f->config);
	assert_string_equal(f->complaints, "");
}

/* What cannot be read is said, and the rest is read. */
static void test_unreadable(void **state)
{
	struct fixture *f = *state;

	make_folders(f, MAIN "/");
	make_folders(f, "/etc/shmstate/shmstated.conf.d/10-a.conf/");
	write_text(f, "/etc/shmstate/shmstated.conf.d/20-b.conf", "[Service]\nScanSeconds=5\n");
	assert_int_equal(load(f), 0);
	assert_int_equal(f->config.scan_seconds, 5);
	assert_string_equal(f->complaints,
			    MAIN ":0: cannot be read: Is a directory\n"
				 "/etc/shmstate/shmstated.conf.d/10-a.conf:0: cannot be read: "
				 "Is a directory\n");
}

/* A file that is named is the only one, and must be there. */
static void test_named_file(void **state)
{
	struct fixture *f = *state;

	write_text(f, MAIN, "[Service]\nScanSeconds=1\nSendSeconds=1\n");
	write_text(f, "/etc/shmstate/shmstated.conf.d/10-a.conf", "[Service]\nScanSeconds=2\n");
	write_text(f, "/other.conf", "[Service]\nScanSeconds=3\nNo=\n");
	f->config.scan_seconds = 99;
	assert_int_equal(config_load(f->root, below(f, "/other.conf"), note, f, &f->config), 0);
	assert_int_equal(f->config.scan_seconds, 3);
	assert_int_equal(f->config.send_seconds, 30);
	assert_string_equal(f->complaints,
			    "/other.conf:3: No=: there is no such key in [Service]\n");
	f->config.scan_seconds = 99;
	assert_int_equal(config_load(f->root, below(f, "/none.conf"), note, f, &f->config),
			 -ENOENT);
	assert_int_equal(config_load(f->root, f->root, note, f, &f->config), -EISDIR);
	assert_int_equal(f->config.scan_seconds, 99);
}

/* Whatever stands there: values in their bounds. */
static void test_random_text(void **state)
{
	static const char *const words[] = {
		"[Service]", "[", "]", "=",    "\n", "\n", "Workers", "Probe", "MessageBytes",
		"1",         "9", "K", "auto", " ",  "#",  "X-",      "\r",    "\xff"};
	struct random random = {.state = 5};
	struct fixture *f = *state;

	for (int i = 0; i < rounds(2000); i++) {
		char text[512] = "[Service]\n";
		size_t n = random_below(&random, 30);

		for (size_t k = 0; k < n; k++)
			strcat(text, words[random_below(&random, ARRAY_SIZE(words))]);
		write_text(f, MAIN, text);
		assert_int_equal(load(f), 0);
		assert_in_range(f->config.workers, 1, 64);
		assert_in_range(f->config.message_bytes, 64 << 10, 16 << 20);
		assert_in_range(f->config.queued_bytes, f->config.message_bytes, 256 << 20);
		assert_true(f->config.probe != PROBE_VERIFY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_every_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_assignments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_masked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_named_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random_text, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
