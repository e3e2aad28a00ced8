/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "discover/open.h"
#include "serve/errors.h"
#include "serve/examine.h"
#include "serve/examine-inside.h"
#include "serve/lookup.h"
#include "util/text.h"
#include "util/util.h"
#include "view/inspect.h"

/* Which objects there are, as far as the question is about them. Returns 0 or a negative errno. */
static int discover_for(struct examination *e, const struct question *q, bool all)
{
	struct worker *w = e->worker;
	struct discover_options how = {
		.way = w->iterators ? DISCOVER_AUTO : DISCOVER_PROC,
		.iterators = w->iterators,
		.finder = &e->finder,
	};
	struct discovery *ret = &e->result->discovery;
	int r;

	if (!q->have_passed)
		return selector_discover(&q->selector, &how, w->prober.caps, all, ret);
	r = discover_descriptor(w->prober.caps, q->fd, ret);
	if (r >= 0)
		ret->finder = &e->finder;
	return r;
}

/* That says nothing of what was asked for. */
static bool is_ours(int error)
{
	return stop_is_error(error) || error == -ENOMEM || error == -EUSERS || error == -EMFILE ||
	       error == -ENFILE;
}

/* Why nothing could be discovered. */
static void fail_discovery(struct examination *e, int error)
{
	const struct selector *s = &e->question->selector;

	if (is_ours(error))
		errors_fail(e->result, error);
	else if (s->path && !e->access->privileged)
		errors_not_permitted(e->result, ACCESS_OWNER);
	else if (error == -ESRCH)
		errors_no_process(e->result, s->pid);
	else if (error == -ENOTTY)
		result_fail(e->result, ERROR_NOT_SHARED_MEMORY, NULL);
	else if (error == -ENOENT)
		result_fail(e->result, ERROR_NO_SUCH_OBJECT, NULL);
	else
		errors_fail(e->result, error);
}

/* Before others are told anything of a process, the kernel is asked. */
static bool may_ask_process(struct examination *e, int (*ask)(struct access *a, pid_t pid))
{
	pid_t pid = e->question->selector.pid;
	int r = pid > 0 ? ask(e->access, pid) : 0;

	if (r == -EPERM)
		errors_not_permitted(e->result, ACCESS_PTRACE);
	else if (r == -ESRCH)
		errors_no_process(e->result, pid);
	else if (r < 0)
		errors_fail(e->result, r);
	return r >= 0;
}

static bool may_ask(struct examination *e)
{
	enum access_rule rule;

	if (access_question(e->access, e->question, &rule) < 0) {
		errors_not_permitted(e->result, rule);
		return false;
	}
	return may_ask_process(e, access_process);
}

/* The walk was asked for by name, and is not to be had. */
static bool has_probe(struct examination *e)
{
	const struct prober *p = &e->worker->prober;
	enum probe_choice choice = e->question->probe;
	bool needed = choice == PROBE_WALK || choice == PROBE_VERIFY ||
		      e->question->method == METHOD_LOCATE;

	if (!needed || p->walker)
		return true;
	errors_no_probe(e->result, choice, p->walker_error);
	return false;
}

/* May the peer be told that there is this object? Returns 0, -EPERM, or another negative errno. */
static int may_see(struct examination *e, const struct object *o)
{
	_cleanup_close_ int fd = -1;
	int r = access_object(e->access, o);

	if (r != -EPERM)
		return r;
	fd = object_open(&e->result->discovery, o);
	return fd < 0 ? -EPERM : access_states(e->access, o, fd);
}

/*
 * Not even by an error are others told of objects that they may not see. Who asks by descriptor, or
 * by a process that may be read, sees them. Returns how many are left, or a negative errno.
 */
static int leave_out_hidden(struct examination *e, struct object **objects, int n)
{
	const struct question *q = e->question;
	int kept = 0;

	if (e->access->privileged || q->have_passed || q->selector.pid > 0)
		return n;
	for (int i = 0; i < n; i++) {
		int r = may_see(e, objects[i]);

		if (r == 0)
			objects[kept++] = objects[i];
		else if (r != -EPERM)
			return r;
		r = stop_asked();
		if (r < 0)
			return r;
	}
	return kept;
}

/* Nothing is left; where something may be hidden that is all that is said. */
static void fail_choice(struct examination *e)
{
	const struct selector *s = &e->question->selector;

	if (e->access->privileged || (s->pid > 0 && !s->path))
		result_fail(e->result, ERROR_NO_SUCH_OBJECT, NULL);
	else
		errors_not_permitted(e->result, ACCESS_OWNER);
}

/* The object that is meant, if there is just one. */
static bool choose(struct examination *e)
{
	_cleanup_free_ struct object **objects = NULL;
	struct result *result = e->result;
	int n;

	/* What discover_descriptor() found is all that there is. */
	n = selector_match(&e->question->selector, &result->discovery, &objects);
	/* Who was told of it may be told that it has gone. */
	if (n == 0 && e->question->again) {
		result_fail(result, ERROR_NO_SUCH_OBJECT, NULL);
		return false;
	}
	if (n > 0)
		n = leave_out_hidden(e, objects, n);
	if (n == 1)
		result->object = objects[0];
	else if (n < 0)
		errors_fail(result, n);
	else if (n == 0)
		fail_choice(e);
	else
		errors_several(result, objects, n);
	return n == 1;
}

bool examine_find(struct examination *e, bool all)
{
	int r;

	if (!may_ask(e))
		return false;
	r = discover_for(e, e->question, all);
	if (r < 0) {
		fail_discovery(e, r);
		return false;
	}
	return choose(e);
}

int examine_open(struct examination *e, const struct object *o)
{
	_cleanup_close_ int fd = object_open(&e->result->discovery, o);
	int r;

	if (fd < 0)
		return fd;
	/* access_question() has looked at a passed one. */
	r = e->question->have_passed ? 0 : access_states(e->access, o, fd);
	return r < 0 ? r : TAKE_FD(fd);
}

void examine_fail(struct examination *e, int error)
{
	const struct object *o = e->result->object;

	if (!e->access->privileged && (error == -EPERM || error == -EACCES))
		errors_not_permitted(e->result, ACCESS_OWNER);
	else
		errors_object(e->result, o, error);
}

/* What was behind the end of an object that is shorter now can be told too, since it was there. */
bool examine_range(struct examination *e, uint64_t size, uint64_t page_size)
{
	const struct page_range *range = &e->question->range;
	const struct generation *since = e->result->since;
	uint64_t pages = size_to_pages(size, page_size);

	if (since && range->count == UINT64_MAX)
		pages = MAX(pages, size_to_pages(since->snapshot.size, page_size));
	if (range->first <= pages &&
	    (range->count == UINT64_MAX || range->count <= pages - range->first))
		return true;
	errors_out_of_range(e->result, pages);
	return false;
}

static void examine_states(struct examination *e)
{
	struct result *result = e->result;
	_cleanup_close_ int fd = -1;
	int r;

	if (!examine_find(e, false))
		return;
	fd = examine_open(e, result->object);
	r = fd < 0 ? fd : examine_pages(e, fd);
	if (r < 0)
		examine_fail(e, r);
	else if (!result->error)
		examine_range(e, result->snapshot.size, result->snapshot.page_size);
}

static void examine_slots(struct examination *e)
{
	struct result *result = e->result;
	int r;

	if (!examine_find(e, false))
		return;
	r = inspect_locate(&e->worker->prober, &result->discovery, result->object,
			   e->question->range, &result->slots);
	if (r < 0)
		examine_fail(e, r);
	else
		examine_range(e, result->slots.size, result->slots.page_size);
}

/* Fills in what is asked of one of many objects. Returns 0, or what ends it all. */
static int list_one(struct examination *e, struct object *o)
{
	struct listed *l = &e->result->listed[e->result->n_listed];
	uint64_t began = monotonic_ns();
	_cleanup_close_ int fd = -1;
	int r;

	/* What it is given is freed with the result, however this ends. */
	e->result->n_listed++;
	*l = (struct listed){.object = o, .looked = e->question->summarize};
	if (e->question->method == METHOD_MONITOR && owners_find(&e->owners, o, &l->owners) < 0)
		return -ENOMEM;
	if (!e->question->summarize)
		return 0;
	fd = examine_open(e, o);
	r = fd < 0 ? fd
		   : inspect_descriptor(&e->worker->prober, &e->result->discovery, o, fd, PROBE_ALL,
					!e->question->stability, &l->snapshot);
	if (r == -ENOMEM || stop_is_error(r))
		return r;
	l->error = r;
	/* Only its counts are told. */
	if (r >= 0 && e->question->method == METHOD_MONITOR)
		l->error = examine_monitored(fd, l, began);
	else if (r >= 0)
		examine_listed(e, fd, &l->snapshot, began);
	if (l->error == -ENOMEM)
		return l->error;
	state_map_done(&l->snapshot.map);
	return 0;
}

static void strip_own_descriptor(struct object *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_holders; i++)
		if (o->holders[i].pid != getpid())
			o->holders[n++] = o->holders[i];
	o->n_holders = n;
}

/* What the peer may not see is left out, and that something was is said. */
static int list_visible(struct examination *e, struct object *o)
{
	int r, n;

	/* What is held for looks, at this path for one. */
	strip_own_descriptor(o);
	r = may_see(e, o);
	if (r == -EPERM) {
		e->result->denied = true;
		return 0;
	}
	if (r < 0)
		return r;
	n = access_strip(e->access, o);
	if (n < 0)
		return n;
	e->result->denied |= n > 0;
	return list_one(e, o);
}

static int list_objects(struct examination *e)
{
	_cleanup_free_ struct object **objects = NULL;
	const struct question *q = e->question;
	int r = 0, n = selector_match(&q->selector, &e->result->discovery, &objects);

	if (n < 0)
		return n;
	e->result->listed = calloc((size_t)n + 1, sizeof(*e->result->listed));
	if (!e->result->listed)
		return -ENOMEM;
	for (int i = 0; i < n && r >= 0; i++) {
		if (!q->kinds || q->kinds & UINT32_C(1) << objects[i]->kind)
			r = list_visible(e, objects[i]);
		if (r >= 0)
			r = stop_asked();
	}
	return r;
}

static void examine_list(struct examination *e)
{
	int r;

	if (!may_ask(e))
		return;
	/* Whatever is selected: its other holders count too. */
	r = discover_for(e, e->question, true);
	/* What is hidden from others, and whether anything is, must look the same. */
	e->result->denied = !e->access->privileged || e->result->discovery.n_denied_processes > 0 ||
			    e->result->discovery.n_denied_mappings > 0;
	if (r < 0) {
		if (e->access->privileged || !e->question->selector.path || is_ours(r))
			fail_discovery(e, r);
		return;
	}
	r = list_objects(e);
	if (r < 0)
		errors_fail(e->result, r);
}

bool examine_passed(struct examination *e)
{
	struct question among = {.method = METHOD_GET_OBJECT, .fd = -1};
	struct discovery alone = e->result->discovery;
	struct object *o = e->result->object;
	int r;

	if (!e->question->have_passed)
		return true;
	among.selector = (struct selector){.have_id = true, .id = o->id};
	e->result->discovery = (struct discovery){.proc_fd = -1};
	r = discover_for(e, &among, true);
	if (r >= 0) {
		_cleanup_free_ struct object **objects = NULL;

		if (selector_match(&among.selector, &e->result->discovery, &objects) == 1)
			e->result->object = objects[0];
		else
			r = -ENOENT;
	}
	discovery_done(&alone);
	if (r < 0)
		errors_fail(e->result, r);
	return r >= 0;
}

static void examine_object(struct examination *e)
{
	struct result *result = e->result;
	struct question summarized = *e->question;
	/* Not in e: its question is looked at again when this one is gone. */
	struct examination inner = *e;
	int r;

	if (!examine_find(e, true) || !examine_passed(e))
		return;
	result->denied =
		result->discovery.n_denied_processes > 0 || result->discovery.n_denied_mappings > 0;
	result->listed = calloc(1, sizeof(*result->listed));
	summarized.summarize = summarized.stability = true;
	inner.question = &summarized;
	if (!result->listed)
		r = -ENOMEM;
	else if (summarized.have_passed)
		r = list_one(&inner, result->object);
	else
		r = list_visible(&inner, result->object);
	if (r >= 0 && result->n_listed == 0)
		errors_not_permitted(result, ACCESS_OWNER);
	strip_own_descriptor(result->object);
	if (r >= 0 && access_strip(e->access, result->object) > 0)
		result->denied = true;
	if (r < 0)
		errors_fail(result, r);
}

static void look(struct examination *e)
{
	switch (e->question->method) {
	case METHOD_SUMMARIZE:
	case METHOD_CLASSIFY:
		examine_states(e);
		break;
	case METHOD_SUBSCRIBE:
		examine_subscription(e);
		break;
	case METHOD_FIND_CANDIDATES:
	case METHOD_GET_REFAULTS:
		examine_candidates(e);
		break;
	case METHOD_LOCATE:
		examine_slots(e);
		break;
	case METHOD_LIST_OBJECTS:
	case METHOD_MONITOR:
		examine_list(e);
		break;
	case METHOD_GET_OBJECT:
		examine_object(e);
		break;
	case METHOD_GET_PAGEMAP:
		if (may_ask(e))
			examine_view(e);
		break;
	case METHOD_GET_CAPABILITIES:
		e->result->caps = *e->worker->prober.caps;
		prober_tell(&e->worker->prober, &e->result->caps);
		break;
	case METHOD_GET_STATUS:
	case METHOD_GET_INFO:
	case METHOD_GET_INTERFACE_DESCRIPTION:
	case METHOD_MAX:
		break; /* answered in the loop */
	}
}

void examine(struct worker *w, const struct question *q, struct access *access,
	     struct history *history, struct result *result)
{
	struct examination e = {
		.worker = w,
		.question = q,
		.access = access,
		.history = history,
		.result = result,
		.finder = {lookup_find, access},
	};

	/* Each request says which probe it wants; the worker has what all of them take. */
	w->prober.choice = q->probe;
	if (!has_probe(&e))
		return;
	look(&e);
	may_ask_process(&e, access_process_again);
	owner_cache_done(&e.owners);
	result->discovery.finder = NULL;
}
