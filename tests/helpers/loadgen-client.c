/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loadgen.h"

#define STALL_CALLS 32
#define SHOWN 20
#define READ_SIZE (256 * 1024)

struct totals totals;
const char *socket_path;
size_t message_limit;
unsigned n_asking;
struct object *alive[OBJECTS];

int client_connect(struct client *c, int epoll)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	c->out_fd = -1;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		return r;
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	/* what it does not read is not to be told of */
	if (c->part == PART_STALLER)
		event.events = 0;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		die("epoll: %s", strerror(errno));
	totals.connected++;
	return 0;
}

static void drop_out(struct client *c)
{
	free(c->out);
	if (c->out_fd >= 0)
		close(c->out_fd);
	c->out = NULL;
	c->out_fd = -1;
	c->out_length = c->out_sent = 0;
}

void client_close(struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	while (c->n_fds > 0)
		close(c->fds[--c->n_fds]);
	drop_out(c);
	free(c->in);
	c->fd = -1;
	c->in = NULL;
	c->in_length = c->in_allocated = 0;
	if (c->part == PART_ASKER && c->n_pending > 0)
		n_asking--;
	c->n_pending = 0;
}

/* ---- sending ------------------------------------------------------------------------------- */

static void want(struct client *c, int epoll, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static ssize_t send_part(struct client *c)
{
	struct iovec part = {c->out + c->out_sent, c->out_length - c->out_sent};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

	if (c->out_fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						      .cmsg_level = SOL_SOCKET,
						      .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &c->out_fd, sizeof(int));
	}
	return sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What cannot be sent at all is noticed when reading. */
static void flush(struct client *c, int epoll)
{
	uint32_t reading = c->part == PART_STALLER ? 0 : EPOLLIN;
	ssize_t n;

	while (c->out_sent < c->out_length) {
		n = send_part(c);
		if (n < 0 && errno == EAGAIN) {
			want(c, epoll, reading | EPOLLOUT);
			return;
		}
		if (n < 0)
			break;
		if (c->out_fd >= 0)
			close(c->out_fd);
		c->out_fd = -1;
		c->out_sent += (size_t)n;
	}
	drop_out(c);
	want(c, epoll, reading);
}

static void append(struct client *c, const char *text, size_t length)
{
	c->out = realloc(c->out, c->out_length + length);
	if (!c->out)
		die("out of memory");
	memcpy(c->out + c->out_length, text, length);
	c->out_length += length;
}

static struct object *any_object(void)
{
	return alive[random() % OBJECTS];
}

static enum kind any_kind(void)
{
	long n = random() % 100;

	return n < 35   ? ASK_SUMMARIZE
	       : n < 55 ? ASK_EXTENTS
	       : n < 70 ? ASK_BITMAP
	       : n < 85 ? ASK_DESCRIPTOR
	       : n < 99 ? ASK_STATUS
			: ASK_LIST;
}

/* One or more calls at once; a descriptor may go with the first. */
void client_ask(struct client *c, int epoll)
{
	size_t n = random() % 4 ? 1 : 1 + (size_t)random() % PENDING_MAX, i, length;

	for (i = 0; i < n; i++) {
		struct question *q = &c->pending[i];
		char *text;

		question_random(q, any_kind(), any_object());
		q->passes &= i == 0;
		text = question_format(q, &length);
		if (q->passes)
			c->out_fd = fcntl(q->object->fd, F_DUPFD_CLOEXEC, 0);
		append(c, text, length);
		free(text);
		totals.asked[q->kind]++;
	}
	c->n_pending = n;
	n_asking++;
	flush(c, epoll);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void take_descriptors(struct client *c, struct msghdr *m)
{
	struct cmsghdr *h;

	for (h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;
		int fd;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_fds < PASSED_MAX)
				c->fds[c->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

/* Appends what has come to in. Returns 0 at the end, or a negative errno. */
static ssize_t receive(struct client *c)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int))];
	} control;
	struct iovec part;
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};
	ssize_t n;

	if (c->in_allocated < c->in_length + READ_SIZE) {
		c->in_allocated = 2 * c->in_allocated + READ_SIZE;
		c->in = realloc(c->in, c->in_allocated);
		if (!c->in)
			die("out of memory");
	}
	part = (struct iovec){c->in + c->in_length, READ_SIZE};
	m.msg_controllen = sizeof(control);
	n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	take_descriptors(c, &m);
	c->in_length += (size_t)n;
	return n;
}

static void judged(struct client *c, enum verdict verdict, bool final)
{
	struct question *q = &c->pending[0];

	switch (verdict) {
	case ANSWER_RIGHT:
		totals.right[q->kind] += final;
		break;
	case ANSWER_WRONG:
		totals.wrong++;
		break;
	case ANSWER_REFUSED:
		totals.refused++;
		break;
	case ANSWER_MOVED:
		totals.moved++;
		break;
	case ANSWER_GONE:
		totals.gone++;
		break;
	}
	if (!final)
		return;
	memmove(q, q + 1, --c->n_pending * sizeof(*q));
	if (c->n_pending == 0)
		n_asking--;
}

static void take_message(struct client *c, const char *text)
{
	struct json_object *reply = json_tokener_parse(text), *error = NULL;
	bool final;

	if (reply && json_object_object_get_ex(reply, "error", &error) &&
	    strcmp(json_object_get_string(error), "io.shmstate.TooManyConnections") == 0) {
		totals.turned_away++;
	} else if (c->part == PART_GIANT) {
		totals.giants += !error;
		totals.giants_unanswered += !!error;
		c->n_pending = 0;
	} else if (!reply || c->part != PART_ASKER || c->n_pending == 0) {
		if (totals.wrong++ < SHOWN)
			printf("WRONG: not asked for: %.200s\n", text);
	} else {
		enum verdict verdict =
			question_judge(&c->pending[0], reply, c->fds, &c->n_fds, &final);

		judged(c, verdict, final);
	}
	json_object_put(reply);
}

static void take_messages(struct client *c)
{
	char *start = c->in, *end;

	while ((end = memchr(start, 0, c->in_length - (size_t)(start - c->in)))) {
		take_message(c, start);
		start = end + 1;
	}
	c->in_length -= (size_t)(start - c->in);
	memmove(c->in, start, c->in_length);
	if (c->in_length == 0 && c->in_allocated > 2 * READ_SIZE) {
		free(c->in);
		c->in = NULL;
		c->in_allocated = 0;
	}
}

static void on_end(struct client *c)
{
	if (c->part == PART_GARBLER)
		totals.garbled++;
	if (c->part == PART_GIANT && c->n_pending > 0)
		totals.giants_unanswered++;
	if (c->part == PART_ASKER)
		totals.put_out += c->n_pending + 1;
	client_close(c);
}

void client_ready(struct client *c, int epoll, uint32_t events)
{
	ssize_t n;

	if (c->fd >= 0 && (events & EPOLLOUT))
		flush(c, epoll);
	if (c->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	if (c->part == PART_STALLER || c->part == PART_VANISHER) {
		client_close(c);
		return;
	}
	n = receive(c);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n > 0)
		take_messages(c);
	else
		on_end(c);
}

/* ---- misbehaving --------------------------------------------------------------------------- */

static void stall(struct client *c, int epoll)
{
	static const char text[] = "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
				   "\"parameters\":{\"interface\":\"io.shmstate\"}}";
	struct question q;
	size_t length;
	int i;

	for (i = 0; i < STALL_CALLS; i++) {
		char *call;

		question_random(&q, i % 2 ? ASK_EXTENTS : ASK_LIST, any_object());
		q.passes = false;
		call = question_format(&q, &length);
		append(c, call, length);
		append(c, text, sizeof(text));
		free(call);
	}
	flush(c, epoll);
	totals.stalls++;
}

/* Within its call, or with an answer under way. */
static void vanish(struct client *c)
{
	struct question q;
	size_t length;
	char *text;

	question_random(&q, random() % 2 ? ASK_EXTENTS : ASK_DESCRIPTOR, any_object());
	q.passes = false;
	text = question_format(&q, &length);
	if (random() % 2)
		length = (size_t)random() % length;
	if (send(c->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		totals.turned_away += errno == EPIPE;
	free(text);
	totals.vanished++;
}

static void garble(struct client *c)
{
	static const char *const texts[] = {"{",
					    "[]",
					    "nil",
					    "{\"method\":1}",
					    "{\"parameters\":{}}",
					    "{\"method\":\"a.b\",\"more\":1}",
					    "\x01\x02\xff",
					    "{} {}"};
	char noise[600];
	size_t i;

	if (random() % 2) {
		const char *text = texts[random() % (long)(sizeof(texts) / sizeof(*texts))];

		send(c->fd, text, strlen(text) + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	for (i = 0; i < sizeof(noise) - 1; i++)
		noise[i] = (char)(128 + random() % 128);
	noise[i] = '\0';
	send(c->fd, noise, sizeof(noise), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_giant(struct client *c, int epoll)
{
	static const char head[] =
		"{\"method\":\"org.varlink.service.GetInfo\",\"com.example.load\":\"";

	c->out = malloc(message_limit + 1);
	if (!c->out)
		die("out of memory");
	memset(c->out, 'x', message_limit);
	memcpy(c->out, head, sizeof(head) - 1);
	memcpy(c->out + message_limit - 2, "\"}", 3);
	c->out_length = message_limit + 1;
	c->n_pending = 1;
	flush(c, epoll);
}

void client_misbehave(struct client *c, int epoll)
{
	if (c->part == PART_GARBLER && c->fd >= 0)
		return; /* not put out yet */
	if (c->part == PART_GIANT && c->fd >= 0 && c->n_pending > 0)
		return;
	client_close(c);
	if (client_connect(c, epoll) < 0)
		return;
	c->since = now_ns();
	switch (c->part) {
	case PART_STALLER:
		stall(c, epoll);
		break;
	case PART_VANISHER:
		vanish(c);
		break;
	case PART_GARBLER:
		garble(c);
		break;
	case PART_GIANT:
		send_giant(c, epoll);
		break;
	case PART_ASKER:
	case PARTS:
		break;
	}
}
