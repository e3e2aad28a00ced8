/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/shmstate/shmstate.h"

/* A connection, and the end at which the test is the service. What it answers is put there before
 * the call: it waits in the socket. */
struct line {
	struct shmstate *s;
	int peer;
};

static void line_open(struct line *l)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(shmstate_open_fd(fds[0], &l->s), 0);
	shmstate_set_timeout(l->s, 10);
	l->peer = fds[1];
}

static void line_done(struct line *l)
{
	assert_null(shmstate_close(l->s));
	closep(&l->peer);
}

/* With a descriptor, or -1. */
static void answer_with(struct line *l, const char *bytes, size_t n, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (char *)bytes, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(l->peer, &m, 0), (ssize_t)n);
}

static void answer(struct line *l, const char *message)
{
	answer_with(l, message, strlen(message) + 1, -1);
}

static void expect_sent(struct line *l, const char *message)
{
	char buf[4096] = "";
	ssize_t n = recv(l->peer, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	assert_int_equal(n, (ssize_t)strlen(message) + 1);
	assert_string_equal(buf, message);
}

static void test_call(void **state)
{
	const char *reply;
	struct line l;

	(void)state;
	line_open(&l);
	answer(&l, "{\"parameters\":{\"a\":[1,null,\"x/y\"]}}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", "{ \"p\" : 1 }", NULL, 0, &reply), 0);
	assert_string_equal(reply, "{\"a\":[1,null,\"x/y\"]}");
	expect_sent(&l, "{\"method\":\"x.y.Z\",\"parameters\":{\"p\":1}}");
	assert_null(shmstate_error_name(l.s));
	assert_null(shmstate_error_parameters(l.s));
	/* Absent, null and {} are one. */
	answer(&l, "{}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, &reply), 0);
	assert_string_equal(reply, "{}");
	expect_sent(&l, "{\"method\":\"x.y.Z\"}");
	answer(&l, "{\"parameters\":null,\"continues\":false,\"error\":null,\"org.vendor.x\":1}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), 0);
	line_done(&l);
}

static void test_error(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	answer(&l, "{\"error\":\"x.y.Bad\",\"parameters\":{\"why\":\"so\"}}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -EREMOTEIO);
	assert_string_equal(shmstate_error_name(l.s), "x.y.Bad");
	assert_string_equal(shmstate_error_parameters(l.s), "{\"why\":\"so\"}");
	/* It breaks nothing, and is forgotten. */
	answer(&l, "{\"error\":\"x.y.Worse\"}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -EREMOTEIO);
	assert_string_equal(shmstate_error_parameters(l.s), "{}");
	answer(&l, "{}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), 0);
	assert_null(shmstate_error_name(l.s));
	line_done(&l);
}

/* No answers. The connection is of no more use, and says so. */
static void test_bad_answers(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"1",
		"null",
		"[]",
		"\"text\"",
		"{",
		"{}}",
		"{} {}",
		"{\"parameters\":1}",
		"{\"parameters\":[]}",
		"{\"error\":1}",
		"{\"error\":{}}",
		"{\"continues\":1}",
		"{\"continues\":\"true\"}",
		"{\"continues\":true}",
		"{\"error\":\"x.y.Bad\",\"continues\":true}",
		"{\"parameters\":{\"a\":\"\xff\"}}",
		"{\"parameters\":{\"a\":\"\xc3\"}}",
		"\xef\xbb\xbf{}",
		"{\"parameters\":{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"
		"]"
		"]]]]]]]]]]]]]]]]]}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *reply = "untouched";
		struct line l;
		int r;

		line_open(&l);
		answer(&l, bad[i]);
		r = shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, &reply);
		if (r != -EBADMSG)
			fail_msg("<%s>: %d", bad[i], r);
		assert_string_equal(reply, "untouched");
		answer(&l, "{}");
		assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -ENOTCONN);
		line_done(&l);
	}
}

/* What makes no sense is refused before anything is sent, and breaks nothing. */
static void test_bad_arguments(void **state)
{
	static const char *const bad[] = {"", "x", "1", "[]", "{", "{} x", "{\"a\":\"\xff\"}"};
	struct shmstate *s;
	struct line l;

	(void)state;
	line_open(&l);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(shmstate_call(l.s, "x.y.Z", bad[i], NULL, 0, NULL), -EINVAL);
	assert_int_equal(shmstate_call(l.s, NULL, NULL, NULL, 0, NULL), -EINVAL);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 254, NULL), -EINVAL);
	assert_int_equal(shmstate_call_more(l.s, "x.y.Z", NULL, NULL, 0, NULL, NULL), -EINVAL);
	assert_int_equal(recv(l.peer, &(char){0}, 1, MSG_DONTWAIT), -1);
	answer(&l, "{}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), 0);
	assert_int_equal(shmstate_open_fd(-1, &s), -EINVAL);
	line_done(&l);
}

static void test_errors(void **state)
{
	static const char *const errors[][2] = {
		{"ScanTimedOut", "{\"seconds\":30}"},
		{"TooBusy", "{\"bound\":\"dead_paths\",\"limit\":1}"},
		{"ObjectBusy", "{\"reason\":\"because\"}"},
		{"Stopping", "{}"},
		{"ProbeUnavailable", "{\"probe\":\"walk\",\"reason\":\"because\"}"},
		{"Failed", "{\"reason\":\"because\",\"errno\":5}"},
	};
	struct line l;

	(void)state;
	line_open(&l);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		char text[256];

		snprintf(text, sizeof(text), "{\"error\":\"io.shmstate.%s\",\"parameters\":%s}",
			 errors[i][0], errors[i][1]);
		answer(&l, text);
		assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -EREMOTEIO);
		assert_string_equal(strrchr(shmstate_error_name(l.s), '.') + 1, errors[i][0]);
		assert_string_equal(shmstate_error_parameters(l.s), errors[i][1]);
	}
	line_done(&l);
}

/* Silence, the end, and an answer that nobody asked for. */
static void test_broken(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -ETIMEDOUT);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -ENOTCONN);
	line_done(&l);
	line_open(&l);
	closep(&l.peer);
	l.peer = -1;
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -ECONNRESET);
	line_done(&l);
	line_open(&l);
	answer_with(&l, "{}\0{}", 6, -1);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), 0);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -EBADMSG);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -ENOTCONN);
	line_done(&l);
}

/* Who is turned away at once is told why, though nothing could be sent any more. */
static void test_turned_away(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	answer(&l, "{\"error\":\"io.shmstate.TooManyConnections\",\"parameters\":{\"limit\":1}}");
	closep(&l.peer);
	l.peer = -1;
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -EREMOTEIO);
	assert_string_equal(shmstate_error_name(l.s), "io.shmstate.TooManyConnections");
	line_done(&l);
}

struct replies {
	unsigned n, stop_at;
	char text[256];
	bool ended;
};

static int note_reply(void *context, struct shmstate *s, const char *parameters, int continues)
{
	struct replies *r = context;

	(void)s;
	r->ended = !continues;
	strcat(r->text, parameters);
	return ++r->n == r->stop_at ? 42 : 0;
}

static const char three[] = "{\"parameters\":{\"n\":1},\"continues\":true}\0"
			    "{\"parameters\":{\"n\":2},\"continues\":true}\0"
			    "{\"parameters\":{\"n\":3}}";

static void test_more(void **state)
{
	struct replies got = {0};
	struct line l;

	(void)state;
	line_open(&l);
	answer_with(&l, three, sizeof(three), -1);
	assert_int_equal(shmstate_call_more(l.s, "x.y.Z", NULL, NULL, 0, note_reply, &got), 0);
	expect_sent(&l, "{\"method\":\"x.y.Z\",\"more\":true}");
	assert_string_equal(got.text, "{\"n\":1}{\"n\":2}{\"n\":3}");
	assert_true(got.ended);
	/* One that ends in an error: what came before was handled. */
	got = (struct replies){0};
	answer_with(&l, three, strlen(three) + 1, -1);
	answer(&l, "{\"error\":\"x.y.Bad\"}");
	assert_int_equal(shmstate_call_more(l.s, "x.y.Z", NULL, NULL, 0, note_reply, &got),
			 -EREMOTEIO);
	assert_string_equal(got.text, "{\"n\":1}");
	assert_string_equal(shmstate_error_name(l.s), "x.y.Bad");
	line_done(&l);
}

/* Who has enough gets nothing of what else is under way, and the service sees the end. */
static void test_more_stopped(void **state)
{
	struct replies got = {.stop_at = 2};
	struct line l;
	char buf[64];

	(void)state;
	line_open(&l);
	answer_with(&l, three, sizeof(three), -1);
	assert_int_equal(shmstate_call_more(l.s, "x.y.Z", NULL, NULL, 0, note_reply, &got), 42);
	assert_int_equal(got.n, 2);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), -ENOTCONN);
	assert_true(recv(l.peer, buf, sizeof(buf), MSG_DONTWAIT) > 0);
	assert_int_equal(recv(l.peer, buf, sizeof(buf), MSG_DONTWAIT), 0);
	line_done(&l);
}

static void test_descriptors(void **state)
{
	int mine = memfd_create("shmstate-test", MFD_CLOEXEC), fd;
	struct line l;

	(void)state;
	line_open(&l);
	answer_with(&l, "{}", 3, mine);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, &mine, 1, NULL), 0);
	assert_int_equal(shmstate_take_fd(l.s, 1), -ENOENT);
	fd = shmstate_take_fd(l.s, 0);
	assert_true(fd >= 0 && fd != mine);
	assert_int_equal(shmstate_take_fd(l.s, 0), -ENOENT);
	assert_int_equal(close(fd), 0);
	/* What was not taken is closed by the next call. */
	answer_with(&l, "{}", 3, mine);
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), 0);
	answer(&l, "{}");
	assert_int_equal(shmstate_call(l.s, "x.y.Z", NULL, NULL, 0, NULL), 0);
	assert_int_equal(shmstate_take_fd(l.s, 0), -ENOENT);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	close(mine);
	line_done(&l);
}

#define SUMMARY                                                                                    \
	"\"object\":\"0:1:5\",\"pageSize\":4096,\"size\":8193,\"range\":{\"first\":1,\"count\":2}" \
	",\"probe\":\"walk\",\"interfaces\":[],\"noWalk\":null,\"stable\":true,\"movedPages\":0"   \
	",\"incomplete\":false,\"reasons\":[],\"counts\":{\"hole\":0,\"allocated\":0"              \
	",\"present\":1,\"swap_cache\":0,\"swapped\":1,\"poisoned\":0,\"in_core\":0"               \
	",\"unknown\":0}"

static void test_summarize(void **state)
{
	struct shmstate_selector selector = SHMSTATE_SELECTOR_INIT;
	struct shmstate_range range = {1, SHMSTATE_TO_END};
	struct shmstate_summary got = {0};
	struct line l;

	(void)state;
	line_open(&l);
	selector.pid = 7;
	selector.process_fd = 0;
	answer(&l, "{\"parameters\":{" SUMMARY "}}");
	assert_int_equal(shmstate_summarize(l.s, &selector, &range, SHMSTATE_PROBE_WALK, &got), 0);
	expect_sent(&l, "{\"method\":\"io.shmstate.Summarize\",\"parameters\":{\"selector\":{"
			"\"pid\":7,\"fileDescriptor\":0},\"probe\":\"walk\",\"range\":{\"first\":1}"
			"}}");
	assert_string_equal(got.object, "0:1:5");
	assert_string_equal(got.probe, "walk");
	assert_int_equal(got.object_size, 8193);
	assert_int_equal(got.first, 1);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.counts[SHMSTATE_SWAPPED], 1);
	assert_true(got.stable);
	assert_false(got.incomplete);
	line_done(&l);
}

/* An answer that lacks a field, or has it in another type, is none. */
static void test_summarize_bad(void **state)
{
	static const char text[] = "{\"parameters\":{" SUMMARY "}}";
	struct shmstate_selector selector = SHMSTATE_SELECTOR_INIT;
	static const char *const needed[] = {
		"object", "pageSize", "size",       "range",  "first",      "count", "movedPages",
		"probe",  "stable",   "incomplete", "counts", "swap_cache", "hole"};

	(void)state;
	selector.id = "0:1:5";
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct shmstate_summary got = {.count = 99};
		char copy[sizeof(text)], quoted[32];
		struct line l;

		strcpy(copy, text);
		snprintf(quoted, sizeof(quoted), "\"%s\"", needed[i]);
		strstr(copy, quoted)[1] = '_';
		line_open(&l);
		answer(&l, copy);
		assert_int_equal(
			shmstate_summarize(l.s, &selector, NULL, SHMSTATE_PROBE_AUTO, &got),
			-EBADMSG);
		assert_int_equal(got.count, 99);
		line_done(&l);
	}
}

static void test_selectors(void **state)
{
	static const struct shmstate_selector bad[] = {
		SHMSTATE_SELECTOR_INIT,
		{NULL, NULL, NULL, -1, -1, 0, 0, -1, {0}},
		{NULL, NULL, NULL, 0, 3, 0, 0, -1, {0}},
		{NULL, NULL, NULL, 0, -1, 1, 4096, -1, {0}},
		{NULL, NULL, NULL, 1, -1, 1, UINT64_MAX, -1, {0}},
		{"0:1:5", NULL, NULL, 0, -1, 0, 0, 1, {0}},
	};
	struct shmstate_selector good = {"0:1:5", "/p", "n\"", 1, 2, 1, 4096, -1, {0}};
	struct shmstate_summary got;
	struct line l;

	(void)state;
	line_open(&l);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(shmstate_summarize(l.s, &bad[i], NULL, SHMSTATE_PROBE_AUTO, &got),
				 -EINVAL);
	assert_int_equal(shmstate_summarize(l.s, &good, NULL, (enum shmstate_probe)9, &got),
			 -EINVAL);
	answer(&l, "{\"error\":\"io.shmstate.NoSuchObject\"}");
	assert_int_equal(shmstate_summarize(l.s, &good, NULL, SHMSTATE_PROBE_AUTO, &got),
			 -EREMOTEIO);
	expect_sent(&l, "{\"method\":\"io.shmstate.Summarize\",\"parameters\":{\"selector\":{"
			"\"id\":\"0:1:5\",\"path\":\"/p\",\"name\":\"n\\\"\",\"pid\":1,"
			"\"fileDescriptor\":2,\"address\":4096},\"probe\":\"auto\"}}");
	good = (struct shmstate_selector)SHMSTATE_SELECTOR_INIT;
	good.fd = l.peer;
	answer(&l, "{\"error\":\"io.shmstate.NotPermitted\"}");
	assert_int_equal(shmstate_summarize(l.s, &good, NULL, SHMSTATE_PROBE_AUTO, &got),
			 -EREMOTEIO);
	line_done(&l);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *address;
		int error;
	} cases[] = {
		{"unix:", -EINVAL},
		{"unix:@", -EINVAL},
		{"unix:;mode=0666", -EINVAL},
		{"tcp:localhost:1", -EINVAL},
		{"nil", -ENOENT},
		{"./nil:nil", -ENOENT},
		{"@nil", -ENOENT},
		{"/nil/nil", -ENOENT},
		{"unix:/nil/nil;mode=0666", -ENOENT},
		{"/", -ECONNREFUSED},
		{"unix:@shmstate-test-nobody-is-here", -ECONNREFUSED},
	};
	struct shmstate *s = NULL;
	char longest[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(shmstate_open(cases[i].address, &s), cases[i].error);
	memset(longest, '/', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(shmstate_open(longest, &s), -ENAMETOOLONG);
	setenv("SHMSTATE_SOCKET", "/nil/nil", 1);
	assert_int_equal(shmstate_open(NULL, &s), -ENOENT);
	assert_null(s);
}

/* A path, and an abstract name, at which somebody listens. */
static void test_open(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct shmstate *s = NULL;
	char address[sizeof(name.sun_path) + 32];
	socklen_t size;

	(void)state;
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(name.sun_path + 1, 64, "shmstate-test-%d",
					    (int)getpid()));
	assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
	assert_int_equal(listen(fd, 1), 0);
	snprintf(address, sizeof(address), "unix:@%s;mode=0666", name.sun_path + 1);
	assert_int_equal(shmstate_open(address, &s), 0);
	assert_null(shmstate_close(s));
	close(fd);
	assert_null(shmstate_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),          cmocka_unit_test(test_error),
		cmocka_unit_test(test_errors),        cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_broken),
		cmocka_unit_test(test_turned_away),   cmocka_unit_test(test_more),
		cmocka_unit_test(test_more_stopped),  cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_summarize),     cmocka_unit_test(test_summarize_bad),
		cmocka_unit_test(test_selectors),     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
