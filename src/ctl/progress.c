/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ctl/progress.h"

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool running; /* the thread is there: of the one that starts and stops it */
	bool stop;
	const char *what;
	uint64_t done, total;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void print_line(unsigned seconds)
{
	char count[48] = "";

	if (line.total > 0)
		snprintf(count, sizeof(count), " %" PRIu64 " of %" PRIu64, line.done, line.total);
	fprintf(stderr, "\rshmstatectl: %s%s, %u s\033[K", line.what, count, seconds);
	fflush(stderr);
}

static void *run(void *unused)
{
	struct timespec at;
	unsigned seconds = 0;

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &at);
	pthread_mutex_lock(&line.lock);
	while (!line.stop) {
		at.tv_sec++;
		while (!line.stop && pthread_cond_timedwait(&line.wake, &line.lock, &at) == 0)
			;
		if (!line.stop)
			print_line(++seconds);
	}
	if (seconds > 0)
		fputs("\r\033[K", stderr);
	pthread_mutex_unlock(&line.lock);
	return NULL;
}

bool progress_start(const char *what)
{
	sigset_t all, old;

	if (line.running || !isatty(STDERR_FILENO))
		return false;
	line.what = what;
	line.stop = false;
	line.done = line.total = 0;
	/* Signals are for the thread that works. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	line.running = pthread_create(&line.thread, NULL, run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return line.running;
}

void progress_tell(uint64_t done, uint64_t total)
{
	if (!line.running)
		return;
	pthread_mutex_lock(&line.lock);
	line.done = done;
	line.total = total;
	pthread_mutex_unlock(&line.lock);
}

void progress_stop(void)
{
	if (!line.running)
		return;
	pthread_mutex_lock(&line.lock);
	line.stop = true;
	pthread_cond_signal(&line.wake);
	pthread_mutex_unlock(&line.lock);
	pthread_join(line.thread, NULL);
	line.running = false;
}
