/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the service tells its operator: to the journal, with fields, if stderr leads there; else as
 * lines on stderr. The fields are in shmstated(8).
 */

#include <syslog.h>

#include "serve/peer.h"
#include "util/util.h"

/* Finds out where messages go. */
void log_open(void);

void log_message(int priority, const char *format, ...) _printf_(2, 3);

/* Something about a client, which the message calls "client". */
void log_connection(const struct peer *peer, const char *what);
