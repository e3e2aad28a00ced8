/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "serve/pool.h"
#include "util/util.h"

struct pool {
	sd_event_source *source;
	int event_fd; /* something is in done */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct task_list waiting; /* in which order they begin; these four under the lock */
	struct task_list done;
	unsigned n_others; /* tasks under way that are not privileged */
	bool stopping;
	size_t n_tasks; /* in the loop only */
	struct worker *workers;
	unsigned n_workers;
};

/*
 * One worker is kept for the privileged, or others could have all of them busy for as long as looks
 * may take. NULL: none can begin now.
 */
static struct task *choose(struct pool *p)
{
	bool only_privileged = p->n_workers > 1 && p->n_others >= p->n_workers - 1;
	struct task *t;

	TAILQ_FOREACH (t, &p->waiting, link)
		if (t->privileged || !only_privileged)
			break;
	return t;
}

/* Users take turns: one of whose tasks has begun goes behind all others. Who asks much waits for
 * himself. */
static void others_first(struct pool *p, uid_t uid)
{
	struct task_list own = TAILQ_HEAD_INITIALIZER(own);
	struct task *t, *next;

	for (t = TAILQ_FIRST(&p->waiting); t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->uid != uid)
			continue;
		TAILQ_REMOVE(&p->waiting, t, link);
		TAILQ_INSERT_TAIL(&own, t, link);
	}
	TAILQ_CONCAT(&p->waiting, &own, link);
}

static struct task *take(struct pool *p, struct worker *w)
{
	struct task *t;

	pthread_mutex_lock(&p->lock);
	while (!(t = choose(p)) && !p->stopping)
		pthread_cond_wait(&p->wake, &p->lock);
	if (p->stopping)
		t = NULL;
	if (t) {
		TAILQ_REMOVE(&p->waiting, t, link);
		t->started = true;
		w->task = t;
		others_first(p, t->uid);
		p->n_others += !t->privileged;
	}
	pthread_mutex_unlock(&p->lock);
	return t;
}

static void hand_back(struct pool *p, struct worker *w, struct task *t)
{
	pthread_mutex_lock(&p->lock);
	w->task = NULL;
	p->n_others -= !t->privileged;
	TAILQ_INSERT_TAIL(&p->done, t, link);
	/* Others may begin now. */
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	/* It cannot be full: the loop reads it to zero. */
	eventfd_write(p->event_fd, 1);
}

static void *work(void *context)
{
	struct worker *w = context;
	struct task *t;

	while ((t = take(w->pool, w))) {
		stop_watch(&t->stop);
		t->run(t, w);
		stop_watch(NULL);
		hand_back(w->pool, w, t);
	}
	return NULL;
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct task_list done = TAILQ_HEAD_INITIALIZER(done);
	struct pool *p = context;
	struct task *t;
	eventfd_t n;

	(void)source;
	(void)events;
	eventfd_read(fd, &n);
	pthread_mutex_lock(&p->lock);
	TAILQ_CONCAT(&done, &p->done, link);
	pthread_mutex_unlock(&p->lock);
	while ((t = TAILQ_FIRST(&done))) {
		TAILQ_REMOVE(&done, t, link);
		p->n_tasks--;
		t->done(t);
	}
	return 0;
}

static int open_probers(struct pool *p, const struct kcaps *caps, enum probe_choice choice)
{
	for (unsigned i = 0; i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];
		int r = prober_open_to_locate(&w->prober, caps, choice);

		if (r < 0)
			return r;
		w->pool = p;
		if (choice != PROBE_PORTABLE && iterators_new(&w->iterators) < 0)
			w->iterators = NULL;
	}
	return 0;
}

int pool_new(sd_event *event, const struct kcaps *caps, enum probe_choice choice, unsigned n,
	     struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->done);
	p->n_workers = n;
	p->workers = calloc(n, sizeof(*p->workers));
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = p->event_fd < 0 ? -errno : 0;
	if (r >= 0 && !p->workers)
		r = -ENOMEM;
	if (r >= 0)
		r = open_probers(p, caps, choice);
	if (r >= 0)
		r = sd_event_add_io(event, &p->source, p->event_fd, EPOLLIN, on_done, p);
	if (r < 0) {
		pool_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

/* Signals are for the loop. */
int pool_start(struct pool *p)
{
	sigset_t all, old;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < p->n_workers && r == 0; i++) {
		r = pthread_create(&p->workers[i].thread, NULL, work, &p->workers[i]);
		p->workers[i].started = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void drop_all(struct task_list *tasks)
{
	struct task *t;

	while ((t = TAILQ_FIRST(tasks))) {
		TAILQ_REMOVE(tasks, t, link);
		t->drop(t);
	}
}

/* Under the lock. */
static void cancel_begun(struct pool *p)
{
	for (unsigned i = 0; p->workers && i < p->n_workers; i++)
		if (p->workers[i].task)
			atomic_store(&p->workers[i].task->stop.cancelled, true);
}

void pool_cancel(struct pool *p)
{
	struct task *t;

	pthread_mutex_lock(&p->lock);
	cancel_begun(p);
	TAILQ_FOREACH (t, &p->waiting, link)
		atomic_store(&t->stop.cancelled, true);
	pthread_mutex_unlock(&p->lock);
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	cancel_begun(p);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; p->workers && i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];

		if (w->started)
			pthread_join(w->thread, NULL);
		iterators_free(w->iterators);
		prober_done(&w->prober);
	}
	drop_all(&p->waiting);
	drop_all(&p->done);
	free(p->workers);
	sd_event_source_unref(p->source);
	closep(&p->event_fd);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

void pool_submit(struct pool *p, struct task *t)
{
	p->n_tasks++;
	pthread_mutex_lock(&p->lock);
	t->started = false;
	TAILQ_INSERT_TAIL(&p->waiting, t, link);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

bool pool_lock_waiting(struct pool *p, const struct task *t)
{
	pthread_mutex_lock(&p->lock);
	if (!t->started)
		return true;
	pthread_mutex_unlock(&p->lock);
	return false;
}

bool pool_withdraw(struct pool *p, struct task *t)
{
	if (!pool_lock_waiting(p, t))
		return false;
	TAILQ_REMOVE(&p->waiting, t, link);
	pool_unlock(p);
	p->n_tasks--;
	return true;
}

void pool_unlock(struct pool *p)
{
	pthread_mutex_unlock(&p->lock);
}

size_t pool_count(const struct pool *p)
{
	return p->n_tasks;
}

size_t pool_count_waiting(struct pool *p, uid_t uid, size_t *ret_of_user)
{
	const struct task *t;
	size_t n = 0, of_user = 0;

	pthread_mutex_lock(&p->lock);
	TAILQ_FOREACH (t, &p->waiting, link) {
		n += !t->goes_on;
		of_user += !t->goes_on && t->uid == uid;
	}
	pthread_mutex_unlock(&p->lock);
	*ret_of_user = of_user;
	return n;
}

unsigned pool_workers(const struct pool *p)
{
	return p->n_workers;
}

struct prober *pool_prober(struct pool *p)
{
	return &p->workers[0].prober;
}
