/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "serve/discard.h"
#include "serve/log.h"
#include "serve/manager.h"
#include "serve/privileges.h"
#include "serve/server.h"
#include "track/events.h"
#include "util/parse.h"
#include "util/text.h"

/* How long what is under way may take when the service is being stopped, and telling so then. */
#define FINISH_USEC 4000000
#define STOP_USEC 5000000

/* How long nobody must be connected for memory to be given back. */
#define TRIM_USEC 1000000

/* Descriptors of the service itself, and those that a worker keeps and opens for a look: some more
 * than it was seen to have. */
#define FILES_OWN 36
#define FILES_OF_WORKER 20

#define DEFAULT_SOCKET "/run/shmstate/io.shmstate"

struct manager {
	struct manager_setup setup;
	struct config config;
	struct kcaps caps;
	sd_event *event;
	sd_event_source *idle_timer;
	sd_event_source *trim_timer;
	struct pool *pool;
	struct events *events;
	struct watches *watches;
	struct server *server;
	bool activated;   /* the socket stays when we go */
	char *own_socket; /* else this one is ours to remove */
	bool stopping;
	bool idle;
};

static void complain(void *context, const char *file, unsigned line, const char *message)
{
	(void)context;
	if (line > 0)
		log_message(LOG_WARNING, "%s:%u: %s", file, line, message);
	else
		log_message(LOG_WARNING, "%s: %s", file, message);
}

static int load_config(struct manager *m, struct config *ret)
{
	int r = config_load(NULL, m->setup.config, complain, NULL, ret);

	if (r < 0)
		log_message(LOG_ERR, "%s: cannot be read: %s",
			    m->setup.config ? m->setup.config : "shmstated.conf", strerror(-r));
	return r;
}

/*
 * How many connections so many descriptors are enough for: each takes one. What the service has
 * open, and opens for a look, is kept free, or there would be clients and no answers.
 */
static unsigned fitting_connections(rlim_t files, unsigned workers)
{
	rlim_t own = FILES_OWN + (rlim_t)workers * FILES_OF_WORKER;

	return (unsigned)MIN(MAX(files > own ? files - own : 0, files / 8), UINT_MAX);
}

static void fit_to_descriptors(struct config *c)
{
	struct rlimit limit;
	unsigned fitting;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	fitting = fitting_connections(limit.rlim_cur, c->workers);
	if (fitting >= c->connections)
		return;
	log_message(LOG_WARNING,
		    "Connections=%u is lowered to %u: no more than %llu files may be open",
		    c->connections, fitting, (unsigned long long)limit.rlim_cur);
	c->connections = fitting;
}

static int stop(struct manager *m)
{
	m->stopping = true;
	sd_notify(false, "STOPPING=1\nSTATUS=Answering what is under way");
	server_stop(m->server);
	return m->idle ? sd_event_exit(m->event, 0) : 0;
}

static int on_hurry(sd_event_source *source, uint64_t usec, void *context)
{
	struct manager *m = context;

	(void)source;
	(void)usec;
	server_give_up(m->server);
	return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *context)
{
	(void)usec;
	(void)context;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct manager *m = context;

	(void)source;
	(void)info;
	if (m->stopping)
		return 0;
	sd_event_add_time_relative(m->event, NULL, CLOCK_MONOTONIC, FINISH_USEC, 0, on_hurry, m);
	sd_event_add_time_relative(m->event, NULL, CLOCK_MONOTONIC, STOP_USEC, 0, on_late, NULL);
	return stop(m);
}

static void tell_ready(const char *first)
{
	sd_notifyf(false, "%s\nSTATUS=Serving", first);
}

/* Limits change at once. Workers and the probe were chosen when we began, and stay. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct manager *m = context;
	struct config config;

	(void)source;
	(void)info;
	if (m->stopping)
		return 0;
	sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_ns() / 1000);
	if (load_config(m, &config) == 0) {
		config.workers = m->config.workers;
		fit_to_descriptors(&config);
		config.probe = m->config.probe;
		config.events = m->config.events;
		m->config = config;
		server_configure(m->server, &config);
		log_message(LOG_INFO, "read the configuration again");
	}
	tell_ready("READY=1");
	return 0;
}

static int on_idle_long(sd_event_source *source, uint64_t usec, void *context)
{
	struct manager *m = context;

	(void)source;
	(void)usec;
	if (!m->idle || m->stopping)
		return 0;
	log_message(LOG_DEBUG, "nobody has asked for a while");
	return stop(m);
}

/* The next client starts the service anew: only then may it go. */
static int watch_idleness(struct manager *m)
{
	uint64_t usec = m->config.idle_seconds * UINT64_C(1000000);
	int r;

	if (!m->idle || !m->activated || usec == 0)
		return m->idle_timer ? sd_event_source_set_enabled(m->idle_timer, SD_EVENT_OFF) : 0;
	if (!m->idle_timer)
		return sd_event_add_time_relative(m->event, &m->idle_timer, CLOCK_MONOTONIC, usec,
						  0, on_idle_long, m);
	r = sd_event_source_set_time_relative(m->idle_timer, usec);
	return r < 0 ? r : sd_event_source_set_enabled(m->idle_timer, SD_EVENT_ONESHOT);
}

static int on_quiet(sd_event_source *source, uint64_t usec, void *context)
{
	struct manager *m = context;

	(void)source;
	(void)usec;
	server_forget(m->server);
	malloc_trim(0);
	return 0;
}

/* What large answers took goes back, once workers have seen that nobody waits for them. */
static int trim_soon(struct manager *m)
{
	int r;

	if (!m->trim_timer)
		return sd_event_add_time_relative(m->event, &m->trim_timer, CLOCK_MONOTONIC,
						  TRIM_USEC, 0, on_quiet, m);
	r = sd_event_source_set_time_relative(m->trim_timer, TRIM_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(m->trim_timer, SD_EVENT_ONESHOT);
}

static void on_idle_changed(void *context, bool idle)
{
	struct manager *m = context;

	m->idle = idle;
	if (m->stopping && idle)
		sd_event_exit(m->event, 0);
	else if (watch_idleness(m) < 0 || (idle && trim_soon(m) < 0))
		log_message(LOG_WARNING, "cannot watch for idleness");
}

/* What is left of one that ended in a hurry answers nobody: then, and only then, it goes. */
static int remove_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || lstat(address->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int listen_on(struct manager *m, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	r = remove_stale(&address);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Whoever may ask what is decided for each call. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, SOMAXCONN) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	m->own_socket = strdup(path);
	return m->own_socket ? server_listen(m->server, fd) : -ENOMEM;
}

static int listen_directly(struct manager *m)
{
	const char *path = m->setup.socket ? m->setup.socket : DEFAULT_SOCKET;
	int r;

	if (!m->setup.socket && mkdir("/run/shmstate", 0755) < 0 && errno != EEXIST)
		r = -errno;
	else
		r = listen_on(m, path);
	if (r < 0)
		log_message(LOG_ERR, "cannot listen on %s: %s", path, strerror(-r));
	return r;
}

/* What the service manager passes, or else a socket of our own. */
static int listen_somewhere(struct manager *m)
{
	int n = sd_listen_fds(true), r = 0;

	for (int i = 0; i < n && r >= 0; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		r = sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0);
		if (r > 0)
			r = server_listen(m->server, fd);
		else if (r == 0)
			r = -ENOTSOCK;
	}
	if (r < 0)
		log_message(LOG_ERR, "what the service manager passed is no listening socket");
	m->activated = n > 0;
	return r < 0 || n > 0 ? r : listen_directly(m);
}

static int add_signals(struct manager *m)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, signals[i]);
		sigprocmask(SIG_BLOCK, &set, NULL);
		r = sd_event_add_signal(m->event, NULL, signals[i],
					signals[i] == SIGHUP ? on_reload : on_terminate, m);
	}
	return r;
}

/* For tests: of how many events one is lost. */
static void lose_events(struct events *events)
{
	const char *every = secure_getenv("SHMSTATE_TEST_DROP_EVENTS");
	uint64_t n;

	if (every && parse_u64(every, 10, &n) == 0 && n <= UINT_MAX)
		events_set_drop(events, (unsigned)n);
}

static int load_events(struct manager *m)
{
	int r = events_new(m->config.events, &m->events);

	if (r >= 0)
		r = watches_new(m->event, m->events, &m->watches);
	if (r >= 0)
		lose_events(m->events);
	return r;
}

static int start_server(struct manager *m)
{
	struct server_setup setup = {.event = m->event, .config = &m->config, .caps = &m->caps};
	int r = kcaps_probe(&m->caps);

	if (r >= 0)
		r = pool_new(m->event, &m->caps, m->config.probe, m->config.workers, &m->pool);
	if (r >= 0)
		r = load_events(m);
	if (r >= 0)
		r = privileges_drop_loading();
	if (r >= 0)
		r = discard_start();
	if (r >= 0)
		r = pool_start(m->pool);
	if (r < 0) {
		log_message(LOG_ERR, "cannot look at shared memory: %s", strerror(-r));
		return r;
	}
	prober_tell(pool_prober(m->pool), &m->caps);
	events_tell(m->events, &m->caps);
	if (!kcaps_has(&m->caps, KCAP_WALK) && m->config.probe != PROBE_PORTABLE)
		log_message(LOG_NOTICE, "no walk of the page cache, the portable probe answers: %s",
			    text_walker_error(m->caps.error[KCAP_WALK]));
	setup.pool = m->pool;
	setup.watches = m->watches;
	r = server_new(&setup, &m->server);
	if (r >= 0)
		server_on_idle(m->server, on_idle_changed, m);
	return r < 0 ? r : listen_somewhere(m);
}

int manager_new(const struct manager_setup *setup, struct manager **ret)
{
	struct manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->setup = *setup;
	m->idle = true;
	/* Few threads that answer one after the other: what one gave back the other may use. */
	mallopt(M_ARENA_MAX, 1);
	/* What lies free at the end of an arena stays, but for this. */
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	r = load_config(m, &m->config);
	if (r >= 0)
		r = sd_event_default(&m->event);
	if (r >= 0) {
		fit_to_descriptors(&m->config);
		r = add_signals(m);
	}
	if (r >= 0)
		r = start_server(m);
	if (r >= 0)
		r = sd_event_set_watchdog(m->event, true);
	if (r < 0) {
		manager_free(m);
		return r;
	}
	malloc_trim(0);
	*ret = m;
	return 0;
}

struct manager *manager_free(struct manager *m)
{
	if (!m)
		return NULL;
	/* Workers first: what they have under way belongs to clients. */
	m->pool = pool_free(m->pool);
	m->server = server_free(m->server);
	m->watches = watches_free(m->watches);
	m->events = events_free(m->events);
	if (m->own_socket)
		unlink(m->own_socket);
	free(m->own_socket);
	sd_event_source_unref(m->idle_timer);
	sd_event_source_unref(m->trim_timer);
	sd_event_unref(m->event);
	free(m);
	return NULL;
}

int manager_run(struct manager *m)
{
	int r = watch_idleness(m);

	tell_ready("READY=1");
	return r < 0 ? r : sd_event_loop(m->event);
}
