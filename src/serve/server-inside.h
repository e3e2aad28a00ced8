/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the server:
 *   server.c   sockets and connections
 *   dispatch.c calls
 */

#include "serve/server.h"

struct listener {
	struct listener *next;
	struct server *server;
	sd_event_source *source;
	sd_event_source *timer; /* when to accept again after descriptors were short */
};

struct member {
	TAILQ_ENTRY(member) link;
	struct server *server;
	struct connection *connection;
	uid_t uid;
};

struct server_counters {
	uint64_t connections;
	uint64_t refused;
	uint64_t calls;
	uint64_t errors;
};

struct server {
	sd_event *event;
	struct config config;
	const struct kcaps *caps;
	struct requests requests;
	struct connection_limits limits;
	struct listener *listeners;
	TAILQ_HEAD(, member) members;
	size_t n_members;
	struct server_counters counters;
	uint64_t started; /* CLOCK_MONOTONIC, ns */
	bool stopping;
	void (*changed)(void *context, bool idle);
	void *changed_context;
};

/* A message of a client. As connection_user has it. */
void dispatch_message(struct connection *c, const char *text, size_t length, int *fds,
		      size_t n_fds);

/* Counts a call as answered. */
void dispatch_answered(struct connection *c, bool error);
