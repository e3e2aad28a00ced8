/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "serve/log.h"
#include "util/stop.h"

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

/* Clients can do what is worth a line as often as they like: no more than this in a second. */
#define CLIENT_LINES_MAX 5

static bool may_say_more(void)
{
	static unsigned n_said, n_left_out;
	static uint64_t second;
	uint64_t now = monotonic_ns() / UINT64_C(1000000000);

	if (now != second) {
		if (n_left_out > 0)
			log_message(LOG_INFO, "%u more of these about clients were left out",
				    n_left_out);
		second = now;
		n_said = n_left_out = 0;
	}
	if (n_said < CLIENT_LINES_MAX) {
		n_said++;
		return true;
	}
	n_left_out++;
	return false;
}

void log_connection(const struct peer *peer, const char *what)
{
	if (!may_say_more())
		return;
	if (to_journal)
		sd_journal_send("MESSAGE=client (pid %d, uid %u) %s", (int)peer->pid, peer->uid,
				what, "PRIORITY=%i", LOG_INFO, "SYSLOG_IDENTIFIER=shmstated",
				"SHMSTATE_CLIENT_PID=%d", (int)peer->pid, "SHMSTATE_CLIENT_UID=%u",
				peer->uid, "SHMSTATE_REASON=%s", what, NULL);
	else
		fprintf(stderr, "shmstated: client (pid %d, uid %u) %s\n", (int)peer->pid,
			peer->uid, what);
}
