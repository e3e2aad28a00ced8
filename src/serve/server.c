/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <grp.h>
#include <sys/socket.h>

#include "serve/discard.h"
#include "serve/errors.h"
#include "serve/follow.h"
#include "serve/log.h"
#include "serve/message.h"
#include "serve/server-inside.h"
#include "util/util.h"

/* How long not to accept after descriptors or memory were short. */
#define PAUSE_USEC 100000

/* How long an answer is kept that nobody asks about. */
#define FORGET_NS (UINT64_C(3600) * 1000000000)

static void tell_change(struct server *s)
{
	if (s->changed)
		s->changed(s->changed_context,
			   s->n_members == 0 && followers_count(s->requests.followers) == 0);
}

/* As long as something is followed the service stays. */
static void on_followers_changed(void *context)
{
	tell_change(context);
}

static void on_drained(struct connection *c)
{
	if (c->call)
		request_drained(c->call);
}

static void on_closed(struct connection *c, const char *why)
{
	struct member *m = c->context;
	struct server *s = m->server;

	if (why)
		log_connection(&c->peer, why);
	if (c->call)
		request_abandon(c->call);
	TAILQ_REMOVE(&s->members, m, link);
	s->n_members--;
	free(m);
	if (s->n_members == 0)
		tell_change(s);
}

static const struct connection_user user = {
	.message = dispatch_message,
	.drained = on_drained,
	.closed = on_closed,
};

static size_t count_of(const struct server *s, uid_t uid)
{
	const struct member *m;
	size_t n = 0;

	TAILQ_FOREACH (m, &s->members, link)
		n += m->uid == uid;
	return n;
}

/* One word, if the socket takes it at once. */
static void turn_away(struct server *s, int fd, const char *error, struct json_object *parameters)
{
	size_t length;
	char *text = reply_format(error, false, parameters, &length);

	s->counters.refused++;
	if (text && send(fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0;
	free(text);
	discard(fd);
}

/* Takes fd and peer over. */
static int add_member(struct server *s, int fd, struct peer *peer)
{
	struct member *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		close(fd);
		peer_done(peer);
		return -ENOMEM;
	}
	*m = (struct member){.server = s, .uid = peer->uid};
	r = connection_new(s->event, fd, peer, access_is_privileged(&s->requests.policy, peer),
			   &user, &s->limits, m, &m->connection);
	if (r < 0) {
		free(m);
		return r;
	}
	TAILQ_INSERT_TAIL(&s->members, m, link);
	s->counters.connections++;
	if (s->n_members++ == 0)
		tell_change(s);
	return 0;
}

static void welcome(struct server *s, int fd)
{
	struct peer peer;
	int r = peer_read(fd, &peer);

	if (r < 0) {
		discard(fd);
		return;
	}
	if (s->n_members >= s->config.connections) {
		turn_away(s, fd, ERROR_TOO_MANY_CONNECTIONS,
			  error_with_number("limit", s->config.connections));
	} else if (count_of(s, peer.uid) >= s->config.connections_per_user) {
		turn_away(s, fd, ERROR_TOO_MANY_CONNECTIONS,
			  error_with_number("limit", s->config.connections_per_user));
	} else {
		add_member(s, fd, &peer);
		return;
	}
	log_connection(&peer, "was turned away: too many connections");
	peer_done(&peer);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *context)
{
	struct listener *l = context;

	(void)source;
	(void)usec;
	return sd_event_source_set_enabled(l->source, SD_EVENT_ON);
}

/* The client stays in the queue of the socket, which would wake us again and again. */
static int pause_listening(struct listener *l)
{
	int r = sd_event_source_set_enabled(l->source, SD_EVENT_OFF);

	if (r < 0)
		return r;
	r = sd_event_source_set_time_relative(l->timer, PAUSE_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct listener *l = context;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (client >= 0)
		welcome(l->server, client);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		return pause_listening(l);
	return 0;
}

static struct listener *listener_free(struct listener *l)
{
	struct listener *next = l->next;

	sd_event_source_disable_unref(l->timer);
	sd_event_source_disable_unref(l->source);
	free(l);
	return next;
}

int server_listen(struct server *s, int fd)
{
	struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->server = s;
	/* Now: the first timer takes a descriptor, which there is none of when it is needed. */
	r = sd_event_add_time(s->event, &l->timer, CLOCK_MONOTONIC, 0, 0, on_pause_over, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_io(s->event, &l->source, fd, EPOLLIN, on_connect, l);
	if (r < 0) {
		close(fd);
		listener_free(l);
		return r;
	}
	sd_event_source_set_io_fd_own(l->source, true);
	l->next = s->listeners;
	s->listeners = l;
	return 0;
}

/* To be asked at the start: whoever knows the groups may be slow to answer. */
static void find_group(struct access_policy *policy)
{
	const struct group *g = getgrnam("shmstate");

	policy->have_group = g;
	policy->group = g ? g->gr_gid : 0;
}

void server_configure(struct server *s, const struct config *config)
{
	s->config = *config;
	s->limits = (struct connection_limits){
		.message_bytes = config->message_bytes,
		.pipelined_calls = config->pipelined_calls,
		.stall_seconds = config->send_seconds,
		.held = &s->requests.held,
	};
	s->requests.message_bytes = config->message_bytes;
	s->requests.queued_bytes = config->queued_bytes;
	s->requests.batches = config->subscribe_batches;
	s->requests.queued_scans = config->queued_scans;
	s->requests.scan_seconds = config->scan_seconds;
	history_set_limit(s->requests.history, config->history_bytes);
	find_group(&s->requests.policy);
}

int server_new(const struct server_setup *setup, struct server **ret)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = history_new(setup->config->history_bytes, &s->requests.history);
	if (r < 0) {
		free(s);
		return r;
	}
	s->event = sd_event_ref(setup->event);
	s->caps = setup->caps;
	s->requests.event = s->event;
	s->requests.pool = setup->pool;
	s->requests.watches = setup->watches;
	s->requests.answered = dispatch_answered;
	s->started = monotonic_ns();
	TAILQ_INIT(&s->requests.waiting);
	ledger_init(&s->requests.held);
	TAILQ_INIT(&s->members);
	r = followers_new(&s->requests, &s->requests.followers);
	if (r < 0) {
		server_free(s);
		return r;
	}
	followers_on_change(s->requests.followers, on_followers_changed, s);
	server_configure(s, setup->config);
	*ret = s;
	return 0;
}

struct server *server_free(struct server *s)
{
	struct member *m;

	if (!s)
		return NULL;
	s->changed = NULL;
	while (s->listeners)
		s->listeners = listener_free(s->listeners);
	while ((m = TAILQ_FIRST(&s->members))) {
		struct connection *c = m->connection;

		on_closed(m->connection, NULL);
		connection_free(c);
	}
	followers_free(s->requests.followers);
	ledger_done(&s->requests.held);
	history_free(s->requests.history);
	sd_event_unref(s->event);
	free(s);
	return NULL;
}

void server_stop(struct server *s)
{
	struct member *m, *next;

	s->stopping = true;
	while (s->listeners)
		s->listeners = listener_free(s->listeners);
	for (m = TAILQ_FIRST(&s->members); m; m = next) {
		struct request *call = m->connection->call;

		next = TAILQ_NEXT(m, link);
		/* If a call is under way, the connection is still there afterwards. */
		connection_finish(m->connection);
		if (call)
			request_stop(call);
	}
	followers_stop(s->requests.followers);
	if (s->n_members == 0)
		tell_change(s);
}

void server_give_up(struct server *s)
{
	pool_cancel(s->requests.pool);
}

void server_forget(struct server *s)
{
	history_expire(s->requests.history, FORGET_NS);
}

void server_on_idle(struct server *s, void (*changed)(void *context, bool idle), void *context)
{
	s->changed = changed;
	s->changed_context = context;
}
