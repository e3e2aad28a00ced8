/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A client: messages in, replies out. One call at a time: while it is under way nothing is read, so
 * that replies come in the order of the calls, and who asks much is held up himself.
 */

#include <systemd/sd-event.h>

#include "serve/answer.h"
#include "serve/frame.h"
#include "serve/peer.h"

/* So many descriptors may come with a message: methods take one. What comes beyond is closed. */
#define CONNECTION_FDS_MAX 8

struct connection;

struct connection_limits {
	size_t message_bytes;
	size_t pipelined_calls;
	unsigned stall_seconds; /* that a client may leave a message half sent, or a reply unread */
	struct ledger *held;    /* where what is half sent is entered */
};

/* Whoever takes the messages. The connection may be freed in any of these but read. */
struct connection_user {
	/*
	 * A message has come; it is borrowed, descriptors are the user's. No other will come until
	 * connection_next() is called.
	 */
	void (*message)(struct connection *c, const char *text, size_t length, int *fds,
			size_t n_fds);
	/* All replies have been written. */
	void (*drained)(struct connection *c);
	/* It is being freed: the client has gone, or was sent away. */
	void (*closed)(struct connection *c, const char *why);
};

struct connection {
	const struct connection_user *user;
	const struct connection_limits *limits;
	void *context; /* the user's */
	void *call;    /* likewise: what is under way */
	struct peer peer;
	bool privileged;
	int fd;
	sd_event_source *io;
	sd_event_source *timer; /* runs while something is half done */
	struct frame frame;
	int fds[CONNECTION_FDS_MAX]; /* that came with the message in frame */
	size_t n_fds;
	size_t n_held;    /* entered for these two */
	size_t n_untaken; /* entered for a descriptor that was sent, and may not have been taken */
	sd_event_source *taker; /* looks whether it has been */
	struct reply_list replies;
	bool busy;      /* a call is under way */
	bool ending;    /* to be closed when all has been written */
	bool finishing; /* to be closed when what has come has been answered */
	bool counted;   /* no more than n_left calls are taken; then there were too many */
	size_t n_left;
};

/*
 * Takes fd over, and peer. Who is not privileged is heard when there is nothing else to do. Returns
 * 0 or a negative errno.
 */
int connection_new(sd_event *event, int fd, struct peer *peer, bool privileged,
		   const struct connection_user *user, const struct connection_limits *limits,
		   void *context, struct connection **ret);
struct connection *connection_free(struct connection *c);

/* Takes all replies over. Returns false if that ended the connection, which is then freed. */
bool connection_send(struct connection *c, struct reply_list *replies);
/* The same for one; NULL: memory was short, and the connection is closed. */
bool connection_send_one(struct connection *c, struct reply *reply);

/* The call has been answered: on to the next. */
void connection_next(struct connection *c);

/*
 * To be closed once calls that wait in the socket have been taken too, but no more than may be
 * pipelined. The connection may be gone when this returns.
 */
void connection_finish(struct connection *c);

/* To be closed once all has been written. The connection may be gone when this returns. */
void connection_end(struct connection *c, const char *why);
