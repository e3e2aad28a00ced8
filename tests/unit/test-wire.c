/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/shmstate/shmstate.h"
#include "lib/wire.h"

/* The two ends: what is written to peer comes in at w. */
struct line {
	struct wire w;
	struct wire peer;
};

static void line_open(struct line *l)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	l->w = (struct wire){.fd = fds[0], .timeout = 1};
	l->peer = (struct wire){.fd = fds[1], .timeout = 1};
}

static void line_done(struct line *l)
{
	wire_done(&l->w);
	wire_done(&l->peer);
}

static void put(struct line *l, const char *bytes, size_t n)
{
	assert_int_equal(write(l->peer.fd, bytes, n), (ssize_t)n);
}

static int take(struct line *l, const char **ret)
{
	int fds[WIRE_FDS];
	size_t size, n_fds = 0;
	int r = wire_receive(&l->w, ret, &size, fds, &n_fds);

	if (r == 0) {
		assert_int_equal(size, strlen(*ret));
		assert_int_equal(n_fds, 0);
	}
	return r;
}

static void expect(struct line *l, const char *message)
{
	const char *got = NULL;

	assert_int_equal(take(l, &got), 0);
	assert_string_equal(got, message);
}

/* A null byte ends each of them. */
static const char two[] = "{\"a\":1}\0{\"second\":\"\xc3\xa4\"}";

/* Cut at each byte: what came of a message is kept until the rest is there. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= sizeof(two); cut++) {
		struct line l;
		const char *got;

		line_open(&l);
		if (cut > 0)
			put(&l, two, cut);
		if (cut < 8)
			assert_int_equal(take(&l, &got), -ETIMEDOUT);
		else
			expect(&l, "{\"a\":1}");
		if (cut >= 8 && cut < sizeof(two))
			assert_int_equal(take(&l, &got), -ETIMEDOUT);
		if (cut < sizeof(two))
			put(&l, two + cut, sizeof(two) - cut);
		if (cut < 8)
			expect(&l, "{\"a\":1}");
		assert_true(wire_is_pending(&l.w) || cut >= 8);
		expect(&l, "{\"second\":\"\xc3\xa4\"}");
		assert_false(wire_is_pending(&l.w));
		line_done(&l);
	}
}

static void test_byte_by_byte(void **state)
{
	struct line l;
	const char *got;

	(void)state;
	line_open(&l);
	for (size_t i = 0; i < sizeof(two); i++) {
		put(&l, two + i, 1);
		if (i == 7)
			expect(&l, "{\"a\":1}");
		else if (i + 1 < sizeof(two))
			assert_int_equal(take(&l, &got), -ETIMEDOUT);
	}
	expect(&l, "{\"second\":\"\xc3\xa4\"}");
	line_done(&l);
}

static void test_merged(void **state)
{
	struct line l;
	const char *got;

	(void)state;
	line_open(&l);
	put(&l, "one\0\0three\0fo", 13);
	expect(&l, "one");
	expect(&l, "");
	expect(&l, "three");
	assert_int_equal(take(&l, &got), -ETIMEDOUT);
	put(&l, "ur", 3);
	expect(&l, "four");
	line_done(&l);
}

/* The end is told, whether or not a message was under way; what came before it is not lost. */
static void test_end(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool whole;
	} cases[] = {{"", 0, false}, {"half", 4, false}, {"one", 4, true}, {"one\0half", 8, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct line l;
		const char *got;

		line_open(&l);
		put(&l, cases[i].bytes, cases[i].n);
		closep(&l.peer.fd);
		l.peer.fd = -1;
		if (cases[i].whole)
			expect(&l, "one");
		assert_int_equal(take(&l, &got), -ECONNRESET);
		assert_int_equal(take(&l, &got), -ECONNRESET);
		line_done(&l);
	}
}

/* Writes n bytes and then the end of the message, as fast as they are read. */
static int receive_long(struct line *l, size_t n)
{
	char *chunk = malloc(64 * 1024);
	const char *got;
	int r = -ETIMEDOUT;

	memset(chunk, 'x', 64 * 1024);
	while (n > 0 && r == -ETIMEDOUT) {
		size_t part = MIN(n, 64 * 1024);

		put(l, chunk, part);
		n -= part;
		r = take(l, &got);
	}
	if (r == -ETIMEDOUT) {
		put(l, "", 1);
		r = take(l, &got);
	}
	free(chunk);
	return r;
}

static void test_long(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	assert_int_equal(receive_long(&l, SHMSTATE_MESSAGE_MAX - 1), 0);
	expect(&l, (put(&l, "next", 5), "next"));
	assert_int_equal(receive_long(&l, SHMSTATE_MESSAGE_MAX), -EMSGSIZE);
	line_done(&l);
}

/* More than the socket holds: sent in parts, and given up when nobody reads. */
static void test_send(void **state)
{
	size_t size = 1024 * 1024;
	char *message = malloc(size);
	struct line l;

	(void)state;
	memset(message, 'y', size - 1);
	message[size - 1] = '\0';
	line_open(&l);
	assert_int_equal(wire_send(&l.peer, "short", 6, NULL, 0), 0);
	expect(&l, "short");
	assert_int_equal(wire_send(&l.peer, message, size, NULL, 0), -ETIMEDOUT);
	closep(&l.w.fd);
	l.w.fd = -1;
	assert_int_equal(wire_send(&l.peer, "short", 6, NULL, 0), -EPIPE);
	line_done(&l);
	free(message);
}

/* A file that can be told from others by its size. */
static int make_file(size_t size)
{
	int fd = memfd_create("shmstate-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static size_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (size_t)st.st_size;
}

static void send_with(struct line *l, const char *message, size_t first, size_t n)
{
	int fds[WIRE_FDS] = {0};

	for (size_t i = 0; i < n; i++)
		fds[i] = make_file(first + i);
	assert_int_equal(wire_send(&l->peer, message, strlen(message) + 1, fds, n), 0);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void expect_with(struct line *l, const char *message, size_t first, size_t n)
{
	int fds[WIRE_FDS];
	size_t size, n_fds;
	const char *got;

	assert_int_equal(wire_receive(&l->w, &got, &size, fds, &n_fds), 0);
	assert_string_equal(got, message);
	assert_int_equal(n_fds, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(size_of(fds[i]), first + i);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
}

/* Descriptors belong to the message that they were sent with, whatever is read at once. */
static void test_descriptors(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	send_with(&l, "two", 10, 2);
	expect_with(&l, "two", 10, 2);
	for (unsigned with = 0; with < 16; with++) {
		static const char *const names[] = {"a", "bb", "", "dddd"};

		for (unsigned i = 0; i < 4; i++)
			send_with(&l, names[i], 100 * i, with >> i & 1 ? i + 1 : 0);
		for (unsigned i = 0; i < 4; i++)
			expect_with(&l, names[i], 100 * i, with >> i & 1 ? i + 1 : 0);
	}
	send_with(&l, "many", 1, WIRE_FDS);
	expect_with(&l, "many", 1, WIRE_FDS);
	line_done(&l);
}

/* A long message whose end comes much later than its descriptors, and another right behind. */
static void test_descriptors_early(void **state)
{
	struct line l;
	char *long_one = malloc(100001);
	const char *got;
	int fd = make_file(7);

	(void)state;
	memset(long_one, 'z', 100000);
	long_one[100000] = '\0';
	line_open(&l);
	put(&l, "before", 7);
	assert_int_equal(wire_send(&l.peer, long_one, 50000, &fd, 1), 0);
	expect(&l, "before");
	assert_int_equal(take(&l, &got), -ETIMEDOUT);
	put(&l, long_one + 50000, 50001);
	send_with(&l, "after", 20, 1);
	expect_with(&l, long_one, 7, 1);
	expect_with(&l, "after", 20, 1);
	close(fd);
	free(long_one);
	line_done(&l);
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* One that never ends its message, and sends descriptors on and on, does not fill our table. */
static void test_descriptors_endless(void **state)
{
	unsigned before = count_fds();
	const char *got;
	struct line l;
	int r = -ETIMEDOUT, fd = make_file(1);

	(void)state;
	line_open(&l);
	for (unsigned i = 0; i <= WIRE_FDS && r == -ETIMEDOUT; i++) {
		assert_int_equal(wire_send(&l.peer, "x", 1, &fd, 1), 0);
		r = take(&l, &got);
	}
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(count_fds(), before + 3 + WIRE_FDS);
	line_done(&l);
	close(fd);
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_descriptors_early),
		cmocka_unit_test(test_descriptors_endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
