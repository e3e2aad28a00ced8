/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "serve/discard.h"
#include "util/array.h"
#include "util/util.h"

/* So many may be held up before others are. */
#define THREADS_MAX 32

#define STACK_BYTES (256 << 10)

/* All under the lock. They live as long as the process does. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int *waiting;
static size_t n_waiting, n_allocated;
static unsigned n_threads, n_idle;

/* One thread stays. The others came because it was busy, and go when there is nothing to do. */
static bool await(void)
{
	while (n_waiting == 0) {
		if (n_idle > 0)
			return false;
		n_idle++;
		pthread_cond_wait(&wake, &lock);
		n_idle--;
	}
	return true;
}

static void *work(void *context)
{
	pthread_mutex_lock(&lock);
	while (await()) {
		int fd = waiting[--n_waiting];

		pthread_mutex_unlock(&lock);
		close(fd);
		pthread_mutex_lock(&lock);
	}
	n_threads--;
	pthread_mutex_unlock(&lock);
	return context;
}

/* Signals are for the loop. */
static int start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, work, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		n_threads++;
	return -r;
}

/* Returns whether a thread will see to it. */
static bool hand_over(int fd)
{
	if (ARRAY_RESERVE(&waiting, &n_allocated, n_waiting) < 0)
		return false;
	/* Any that is being closed may take forever: none waits behind it. */
	if (n_waiting >= n_idle && n_threads < THREADS_MAX && start_thread() < 0 && n_threads == 0)
		return false;
	waiting[n_waiting++] = fd;
	pthread_cond_signal(&wake);
	return true;
}

int discard_start(void)
{
	int r;

	pthread_mutex_lock(&lock);
	r = n_threads > 0 ? 0 : start_thread();
	pthread_mutex_unlock(&lock);
	return r;
}

void discard(int fd)
{
	bool done;

	if (fd < 0)
		return;
	pthread_mutex_lock(&lock);
	done = hand_over(fd);
	pthread_mutex_unlock(&lock);
	if (!done)
		close(fd);
}
