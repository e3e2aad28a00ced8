/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "serve/log.h"

static bool to_journal;

/* systemd says which file stderr is if that is the journal's. */
void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	to_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_message(int priority, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (to_journal)
		sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", priority,
				"SYSLOG_IDENTIFIER=shmstated", NULL);
	else
		fprintf(stderr, "shmstated: %s\n", text);
}

void log_connection(const struct peer *peer, const char *what)
{
	if (to_journal)
		sd_journal_send("MESSAGE=client (pid %d, uid %u) %s", (int)peer->pid, peer->uid,
				what, "PRIORITY=%i", LOG_INFO, "SYSLOG_IDENTIFIER=shmstated",
				"SHMSTATE_CLIENT_PID=%d", (int)peer->pid, "SHMSTATE_CLIENT_UID=%u",
				peer->uid, "SHMSTATE_REASON=%s", what, NULL);
	else
		fprintf(stderr, "shmstated: client (pid %d, uid %u) %s\n", (int)peer->pid,
			peer->uid, what);
}
