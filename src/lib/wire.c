/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/shmstate/shmstate.h"
#include "lib/wire.h"
#include "util/util.h"

#define CHUNK ((size_t)64 * 1024)

void wire_done(struct wire *w)
{
	for (size_t i = 0; i < w->n_fds; i++)
		close(w->fds[i].fd);
	closep(&w->fd);
	free(w->input);
	*w = (struct wire){.fd = -1};
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until when; INT64_MAX: for ever. */
static int64_t deadline_of(const struct wire *w)
{
	return w->timeout > 0 ? now_ms() + w->timeout : INT64_MAX;
}

static int wait_for(const struct wire *w, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = w->fd, .events = events};
		int left = -1, r;

		if (deadline != INT64_MAX)
			left = (int)MIN(MAX(deadline - now_ms(), 0), INT32_MAX);
		r = poll(&p, 1, left);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (deadline != INT64_MAX && now_ms() >= deadline)
			return -ETIMEDOUT;
	}
}

/* Room for WIRE_FDS descriptors, aligned as it must be. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
};

static void put_fds(struct msghdr *m, union control *control, const int *fds, size_t n_fds)
{
	struct cmsghdr *c;

	if (n_fds == 0)
		return;
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	memset(control, 0, m->msg_controllen);
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
}

int wire_send(struct wire *w, const char *message, size_t size, const int *fds, size_t n_fds)
{
	int64_t deadline = deadline_of(w);
	union control control;
	size_t sent = 0;

	if (n_fds > WIRE_FDS)
		return -EINVAL;
	while (sent < size) {
		struct iovec iov = {.iov_base = (char *)message + sent, .iov_len = size - sent};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;
		int r;

		if (sent == 0)
			put_fds(&m, &control, fds, n_fds);
		n = sendmsg(w->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = wait_for(w, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Drops what was taken, and makes room for a chunk. */
static int make_room(struct wire *w)
{
	size_t want, kept = w->n_input - w->n_taken;
	char *input;

	if (w->n_taken > 0) {
		memmove(w->input, w->input + w->n_taken, kept);
		w->passed += w->n_taken;
		w->n_looked = w->n_looked > w->n_taken ? w->n_looked - w->n_taken : 0;
		w->n_input = kept;
		w->n_taken = 0;
	}
	if (w->n_allocated - w->n_input >= CHUNK)
		return 0;
	want = MAX(2 * w->n_allocated, w->n_input + CHUNK);
	input = realloc(w->input, want);
	if (!input)
		return -ENOMEM;
	w->input = input;
	w->n_allocated = want;
	return 0;
}

/*
 * The kernel ends a reading behind the part that descriptors came with, and those who send do so at
 * the start of a message: it is the last one that begins in what was read.
 */
static uint64_t find_owner(const struct wire *w)
{
	const char *end = memrchr(w->input, '\0', w->n_input - 1);

	return w->passed + (end ? (size_t)(end - w->input) + 1 : 0);
}

static int keep_fds(struct wire *w, struct msghdr *m)
{
	uint64_t owner = find_owner(w);
	int r = m->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			struct wire_fd *to = &w->fds[w->n_fds];
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (w->n_fds == WIRE_FDS) {
				close(fd);
				r = -EBADMSG;
				continue;
			}
			*to = (struct wire_fd){.message = owner, .fd = fd};
			w->n_fds++;
		}
	}
	return r;
}

static int read_chunk(struct wire *w, int64_t deadline)
{
	int r = make_room(w);

	while (r >= 0) {
		struct iovec iov = {.iov_base = w->input + w->n_input, .iov_len = CHUNK};
		union control control;
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = &control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(w->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n > 0) {
			w->n_input += (size_t)n;
			return keep_fds(w, &m);
		}
		if (n == 0)
			return -ECONNRESET;
		if (errno == EAGAIN)
			r = wait_for(w, POLLIN, deadline);
		else if (errno != EINTR)
			r = -errno;
	}
	return r;
}

static size_t take_fds(struct wire *w, int *ret)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < w->n_fds; i++) {
		if (w->fds[i].message <= w->passed)
			ret[n++] = w->fds[i].fd;
		else
			w->fds[kept++] = w->fds[i];
	}
	w->n_fds = kept;
	return n;
}

int wire_receive(struct wire *w, const char **ret, size_t *ret_size, int *ret_fds,
		 size_t *ret_n_fds)
{
	int64_t deadline = deadline_of(w);
	const char *end = NULL;
	int r = make_room(w);

	while (r >= 0) {
		if (w->n_input > w->n_looked)
			end = memchr(w->input + w->n_looked, '\0', w->n_input - w->n_looked);
		w->n_looked = w->n_input;
		if ((end ? (size_t)(end - w->input) : w->n_input) >= SHMSTATE_MESSAGE_MAX)
			return -EMSGSIZE;
		if (end)
			break;
		r = read_chunk(w, deadline);
	}
	if (r < 0)
		return r;
	w->n_taken = (size_t)(end - w->input) + 1;
	w->n_looked = w->n_taken;
	*ret_n_fds = take_fds(w, ret_fds);
	*ret = w->input;
	*ret_size = w->n_taken - 1;
	return 0;
}

bool wire_is_pending(const struct wire *w)
{
	return w->n_input > w->n_taken;
}
