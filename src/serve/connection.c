/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "serve/connection.h"
#include "serve/discard.h"
#include "serve/errors.h"
#include "util/util.h"

#define READ_BYTES 65536

/* How often to look whether a client has taken a descriptor: the kernel does not tell. */
#define TAKER_USEC 10000

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		discard(fds[i]);
}

static void drop_reply(struct connection *c)
{
	struct reply *r = STAILQ_FIRST(&c->replies);

	STAILQ_REMOVE_HEAD(&c->replies, link);
	reply_free(r);
}

static void release_frame(struct connection *c)
{
	if (c->n_held > 0)
		ledger_give(c->limits->held, c->peer.uid, c->n_held);
	c->n_held = 0;
}

static void release_untaken(struct connection *c)
{
	if (c->n_untaken > 0)
		ledger_give(c->limits->held, c->peer.uid, c->n_untaken);
	c->n_untaken = 0;
}

/*
 * The kernel counts descriptors under way against all that we send to anybody: of each connection
 * there is one at most, and no other call is taken before the client has it.
 */
static bool is_taken(struct connection *c)
{
	int unread;

	if (c->n_untaken > 0 && ioctl(c->fd, SIOCOUTQ, &unread) == 0 && unread == 0)
		release_untaken(c);
	return c->n_untaken == 0;
}

struct connection *connection_free(struct connection *c)
{
	if (!c)
		return NULL;
	sd_event_source_disable_unref(c->taker);
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	while (!STAILQ_EMPTY(&c->replies))
		drop_reply(c);
	close_fds(c->fds, c->n_fds);
	release_frame(c);
	release_untaken(c);
	frame_done(&c->frame);
	peer_done(&c->peer);
	/* What it had not read, descriptors too, goes with the socket; the client need not wait. */
	shutdown(c->fd, SHUT_RDWR);
	discard(c->fd);
	free(c);
	return NULL;
}

static void close_now(struct connection *c, const char *why)
{
	c->user->closed(c, why);
	connection_free(c);
}

static int on_stalled(sd_event_source *source, uint64_t usec, void *context)
{
	struct connection *c = context;

	(void)source;
	(void)usec;
	close_now(c,
		  STAILQ_EMPTY(&c->replies) ? "left a message half sent" : "left replies unread");
	return 0;
}

/* Something went on: the time that the client has begins anew, if anything is half done. */
static int watch_stalling(struct connection *c)
{
	uint64_t usec = c->limits->stall_seconds * UINT64_C(1000000);
	sd_event *event = sd_event_source_get_event(c->io);
	bool half_done = !STAILQ_EMPTY(&c->replies) || c->frame.length > 0;
	int r;

	if (!half_done)
		return c->timer ? sd_event_source_set_enabled(c->timer, SD_EVENT_OFF) : 0;
	if (!c->timer)
		return sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, usec, 500000,
						  on_stalled, c);
	r = sd_event_source_set_time_relative(c->timer, usec);
	return r < 0 ? r : sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* The next reply has a descriptor, and the one before has not been taken. */
static bool must_wait(struct connection *c)
{
	const struct reply *r = STAILQ_FIRST(&c->replies);

	return r && r->fd >= 0 && r->sent == 0 && !is_taken(c);
}

static int on_taker(sd_event_source *source, uint64_t usec, void *context);

static int watch_taker(struct connection *c)
{
	sd_event *event = sd_event_source_get_event(c->io);
	int r;

	if (!c->taker)
		return sd_event_add_time_relative(event, &c->taker, CLOCK_MONOTONIC, TAKER_USEC,
						  1000, on_taker, c);
	r = sd_event_source_set_time_relative(c->taker, TAKER_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(c->taker, SD_EVENT_ONESHOT);
}

/*
 * That the other end has gone is told in any case. Who leaves replies unread is not asked for more
 * calls, or their replies would pile up.
 */
static int watch(struct connection *c)
{
	uint32_t events = 0;
	int r = 0;

	if (must_wait(c))
		r = watch_taker(c);
	else if (!STAILQ_EMPTY(&c->replies))
		events = EPOLLOUT;
	else if (!c->busy && !c->ending)
		events = EPOLLIN;
	if (r >= 0)
		r = sd_event_source_set_io_events(c->io, events);
	return r < 0 ? r : watch_stalling(c);
}

/* A descriptor goes with the first byte of its message. */
static ssize_t write_some(struct connection *c, const struct reply *r)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {r->data + r->sent, r->length - r->sent};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (r->fd >= 0 && r->sent == 0) {
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.header), &r->fd, sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control.space);
	}
	return sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Returns 0 (all that the socket takes was written), or a negative errno. */
static int flush(struct connection *c)
{
	while (!STAILQ_EMPTY(&c->replies) && !must_wait(c)) {
		struct reply *r = STAILQ_FIRST(&c->replies);
		ssize_t n = write_some(c, r);

		if (n < 0)
			return errno == EAGAIN ? 0 : errno == EINTR ? 0 : -errno;
		if (r->fd >= 0 && r->sent == 0 && n > 0)
			c->n_untaken += reply_release(r);
		r->sent += (size_t)n;
		if (r->sent == r->length)
			drop_reply(c);
	}
	return 0;
}

/* Returns false if the connection has ended, and is freed. */
static bool write_replies(struct connection *c)
{
	int r = flush(c);

	if (r >= 0 && STAILQ_EMPTY(&c->replies) && c->ending) {
		close_now(c, NULL);
		return false;
	}
	if (r >= 0)
		r = watch(c);
	if (r < 0)
		close_now(c, "could not be written to");
	return r >= 0;
}

static void go_on_writing(struct connection *c)
{
	if (write_replies(c) && STAILQ_EMPTY(&c->replies))
		c->user->drained(c);
}

/* The time that the client has goes on meanwhile. */
static int on_taker(sd_event_source *source, uint64_t usec, void *context)
{
	struct connection *c = context;

	(void)source;
	(void)usec;
	if (!is_taken(c) && watch_taker(c) >= 0)
		return 0;
	if (!STAILQ_EMPTY(&c->replies))
		go_on_writing(c);
	else if (watch(c) < 0)
		close_now(c, "memory was short");
	return 0;
}

bool connection_send(struct connection *c, struct reply_list *replies)
{
	STAILQ_CONCAT(&c->replies, replies);
	return write_replies(c);
}

bool connection_send_one(struct connection *c, struct reply *reply)
{
	struct reply_list list = STAILQ_HEAD_INITIALIZER(list);

	if (!reply) {
		close_now(c, "memory was short");
		return false;
	}
	STAILQ_INSERT_TAIL(&list, reply, link);
	return connection_send(c, &list);
}

void connection_end(struct connection *c, const char *why)
{
	c->ending = true;
	if (STAILQ_EMPTY(&c->replies))
		close_now(c, why);
	else if (watch(c) < 0)
		close_now(c, why);
}

/* Part of a call has come, or waits in the socket. */
static bool has_input(struct connection *c)
{
	int waiting;

	return c->frame.length > 0 || (ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting > 0);
}

void connection_finish(struct connection *c)
{
	c->finishing = true;
	if (!c->counted)
		c->n_left = c->limits->pipelined_calls;
	/* Or a client that sends on and on would not let go. */
	c->counted = true;
	if (!c->busy && !has_input(c))
		connection_end(c, NULL);
}

void connection_next(struct connection *c)
{
	c->busy = false;
	if (c->ending || (c->finishing && !has_input(c)))
		connection_end(c, NULL);
	else if (watch(c) < 0)
		close_now(c, "memory was short");
}

/* One last word, which need not be an answer to anything. */
static void refuse(struct connection *c, const char *error, struct json_object *parameters)
{
	c->busy = true;
	if (connection_send_one(c, answer_reply(error, parameters, c->limits->message_bytes)))
		connection_end(c, error);
}

/* Takes what fits, and closes the rest. */
static void take_fds(struct connection *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_fds < CONNECTION_FDS_MAX)
				c->fds[c->n_fds++] = fd;
			else
				discard(fd);
		}
	}
}

/*
 * Reads what belongs to one message, and no more: so it is known with which one descriptors came.
 * Returns 1 if the message is complete, 0 if not, or a negative errno.
 */
static int read_part(struct connection *c, char *buf, size_t n)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(253 * sizeof(int))]; /* the kernel sends no more at once */
	} control;
	struct iovec iov = {buf, n};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t got = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	take_fds(c, &m);
	/* Some that came along could not be had, for there are too many open. */
	if (m.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	return frame_append(&c->frame, buf, (size_t)got, c->limits->message_bytes);
}

static void take_message(struct connection *c)
{
	int fds[CONNECTION_FDS_MAX];
	size_t n_fds = c->n_fds;
	struct frame frame = c->frame;

	memcpy(fds, c->fds, sizeof(fds));
	c->n_fds = 0;
	release_frame(c);
	/* The connection may be gone afterwards. */
	c->frame = (struct frame){0};
	c->busy = true;
	c->n_left -= c->counted;
	if (watch(c) < 0) {
		close_fds(fds, n_fds);
		close_now(c, "memory was short");
	} else {
		c->user->message(c, frame.data, frame.length, fds, n_fds);
	}
	frame_done(&frame);
}

/*
 * Looks at what the socket holds, from its start or from where the last look ended; that may also
 * be where descriptors come along. Returns as recv().
 */
static ssize_t look(struct connection *c, char *buf, bool from_start)
{
	const int offset = 0;

	if (from_start && setsockopt(c->fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0)
		return -1;
	return recv(c->fd, buf, READ_BYTES, MSG_PEEK | MSG_DONTWAIT);
}

/*
 * If there are more calls than may wait, those in front are still taken. The n bytes are the start
 * of what the socket holds: calls of any size count, so it is looked at to the end.
 */
static void count_calls(struct connection *c, const char *bytes, size_t n)
{
	static char buf[READ_BYTES];
	size_t limit = c->limits->pipelined_calls, count = frame_count(bytes, n);
	ssize_t got;

	while (count <= limit && (got = look(c, buf, false)) > 0)
		count += frame_count(buf, (size_t)got);
	c->counted = count > limit;
	c->n_left = limit;
}

/* There is more to come, and it may be a while. */
static void keep_part(struct connection *c)
{
	size_t bytes = c->frame.length + c->n_fds * LEDGER_DESCRIPTOR_BYTES, total, of_user;
	struct busy busy;

	if (ledger_take(c->limits->held, c->peer.uid, bytes - c->n_held, &total, &of_user) < 0) {
		close_now(c, "memory was short");
		return;
	}
	c->n_held = bytes;
	if (ledger_is_passed(c->privileged, total, of_user, &busy))
		refuse(c, ERROR_TOO_BUSY, error_busy(busy));
	else if (watch_stalling(c) < 0)
		close_now(c, "memory was short");
}

static void read_message(struct connection *c)
{
	static char buf[READ_BYTES];
	ssize_t n = look(c, buf, true);
	bool complete;
	int r;

	if (n > 0 && !is_taken(c)) {
		sd_event_source_set_io_events(c->io, 0);
		if (watch_taker(c) < 0)
			close_now(c, "memory was short");
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		connection_end(c, n < 0 ? "could not be read from" : NULL);
		return;
	}
	if (!c->counted)
		count_calls(c, buf, (size_t)n);
	if (c->counted && c->n_left == 0) {
		refuse(c, ERROR_TOO_MANY_CALLS,
		       error_with_number("limit", c->limits->pipelined_calls));
		return;
	}
	r = read_part(c, buf, frame_part(buf, (size_t)n, &complete));
	if (r > 0)
		take_message(c);
	else if (r == -EMSGSIZE)
		refuse(c, ERROR_MESSAGE_TOO_LONG,
		       error_with_number("limit", c->limits->message_bytes));
	else if (r < 0)
		close_now(c, "could not be read from");
	else
		keep_part(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct connection *c = context;

	(void)source;
	(void)fd;
	if (events & (EPOLLHUP | EPOLLERR)) {
		close_now(c, NULL);
	} else if (events & EPOLLOUT) {
		go_on_writing(c);
	} else if (events & EPOLLIN) {
		read_message(c);
	}
	return 0;
}

int connection_new(sd_event *event, int fd, struct peer *peer, bool privileged,
		   const struct connection_user *user, const struct connection_limits *limits,
		   void *context, struct connection **ret)
{
	struct connection *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		peer_done(peer);
		return -ENOMEM;
	}
	*c = (struct connection){
		.user = user,
		.limits = limits,
		.context = context,
		.peer = *peer,
		.privileged = privileged,
		.fd = fd,
	};
	*peer = (struct peer){0};
	STAILQ_INIT(&c->replies);
	r = sd_event_add_io(event, &c->io, fd, EPOLLIN, on_io, c);
	if (r >= 0 && !privileged)
		r = sd_event_source_set_priority(c->io, SD_EVENT_PRIORITY_IDLE);
	if (r < 0) {
		connection_free(c);
		return r;
	}
	*ret = c;
	return 0;
}
