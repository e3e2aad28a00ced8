/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "discover/open.h"
#include "serve/errors.h"
#include "serve/examine-inside.h"
#include "util/util.h"

/*
 * Where the object was seen last, which costs no look at all processes. Without cachestat each
 * mapping is a witness, and all of them are needed.
 */
static int open_where_it_was(struct examination *e)
{
	const struct prober *p = &e->worker->prober;
	const struct object *was = e->question->was;
	struct result *result = e->result;
	int r;

	if (!was || (!kcaps_has(p->caps, KCAP_CACHESTAT) && !p->walker))
		return -ENOENT;
	r = discover_recalled(p->caps, object_copy(was, SIZE_MAX), &result->discovery);
	if (r < 0)
		return r;
	result->discovery.finder = &e->finder;
	result->object = result->discovery.objects[0];
	result->recalled = true;
	r = object_open(&result->discovery, result->object);
	/* Whoever others may look at may have let go of it: then so must they. */
	if (r >= 0 && !access_is_own(e->access, r)) {
		close(r);
		r = -EPERM;
	}
	if (r < 0)
		result_reset(result);
	return r;
}

/* Where it is now. False: an error was told. */
static bool open_anywhere(struct examination *e, int *ret_fd)
{
	int fd;

	if (!examine_find(e, false))
		return false;
	fd = examine_open(e, e->result->object);
	if (fd < 0)
		examine_fail(e, fd);
	else
		*ret_fd = fd;
	return fd >= 0;
}

/* By the path it may be found though nobody has it open, but that may lead elsewhere by now. */
static bool open_by_id(struct examination *e, int *ret_fd)
{
	const struct question *whole = e->question;
	struct question by_id = *whole;
	bool found;

	if (open_anywhere(e, ret_fd))
		return true;
	if (!whole->again || !whole->selector.path || stop_asked() < 0)
		return false;
	result_reset(e->result);
	by_id.selector.path = NULL;
	e->question = &by_id;
	found = open_anywhere(e, ret_fd);
	e->question = whole;
	return found;
}

static bool is_another(const struct examination *e)
{
	return e->question->again &&
	       identity_compare(&e->question->identity, &e->result->identity) != 0;
}

/* All who are told of the same generation keep the same. */
static void share_generation(struct examination *e)
{
	struct result *result = e->result;
	struct generation *kept;
	struct history_bounds bounds;

	if (result->generation->number == 0 ||
	    history_find(e->history, &result->identity, result->generation->number, &kept,
			 &bounds) < 0)
		return;
	generation_unref(result->generation);
	result->generation = kept;
	result->snapshot.map = kept->snapshot.map;
}

void examine_subscription(struct examination *e)
{
	struct result *result = e->result;
	_cleanup_close_ int fd = open_where_it_was(e);
	int r;

	if (fd < 0 && !open_by_id(e, &fd))
		return;
	r = examine_pages(e, fd);
	if (r < 0)
		examine_fail(e, r);
	else if (is_another(e))
		result_fail(result, ERROR_NO_SUCH_OBJECT, NULL);
	else if (!result->error)
		share_generation(e);
	/* One that shrinks afterwards has changed, that is all. */
	if (r >= 0 && !result->error && !e->question->again)
		examine_range(e, result->snapshot.size, result->snapshot.page_size);
}
