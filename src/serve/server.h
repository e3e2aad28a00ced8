/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who listens, who is connected, and what becomes of each call. */

#include <systemd/sd-event.h>

#include "serve/config.h"
#include "serve/connection.h"
#include "serve/request.h"

struct server;

struct server_setup {
	sd_event *event;             /* borrowed, as all here */
	const struct config *config; /* copied */
	const struct kcaps *caps;
	struct pool *pool;
	struct watches *watches;
};

/* Returns 0 or a negative errno. */
int server_new(const struct server_setup *setup, struct server **ret);
struct server *server_free(struct server *s); /* NULL is fine; returns NULL */

/* Listens on a socket, which it takes over. Returns 0 or a negative errno. */
int server_listen(struct server *s, int fd);

/* New limits, from the next call on. */
void server_configure(struct server *s, const struct config *config);

/*
 * No more connections, no more calls: what is under way is still answered, and what waits in the
 * sockets refused. Calls what server_on_idle said once there is nothing left.
 */
void server_stop(struct server *s);

/* After that: what is still under way is refused as well, once the workers see it. */
void server_give_up(struct server *s);

/* What was told so long ago that nobody will come back to it is dropped. */
void server_forget(struct server *s);

/* Told each time that nobody is connected any more, or that the first has come. */
void server_on_idle(struct server *s, void (*changed)(void *context, bool idle), void *context);
