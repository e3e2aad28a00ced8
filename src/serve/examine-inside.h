/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the examination: what it is doing.
 *   examine.c             who may ask, which object, lists
 *   examine-generation.c  an object's pages, and what is remembered of them
 *   examine-subscription.c  an object that is looked at again and again
 *   examine-candidates.c  what came back from the swap
 *   examine-view.c        a process's view
 */

#include "discover/target.h"
#include "serve/examine.h"

struct examination {
	struct worker *worker;
	const struct question *question;
	struct access *access;
	struct history *history;
	struct result *result;
	struct owner_cache owners;
	struct target_finder finder; /* looks at paths on behalf of the peer */
};

/* For METHOD_GET_PAGEMAP, once it is known that the peer may ask about the process. */
void examine_view(struct examination *e);

/*
 * The pages that the question is about, of the object that is open as fd. Returns 0 (it may be that
 * an error was told) or a negative errno, of the object's.
 */
int examine_pages(struct examination *e, int fd);

/*
 * One object of many has shown this, in a look that began then: its map is taken, and it gets the
 * number of its generation.
 */
void examine_listed(struct examination *e, int fd, struct snapshot *s, uint64_t began);

/* Which object is meant; all: by whom it is held too. False: an error was told. */
bool examine_find(struct examination *e, bool all);

/* Opens what may be opened for this peer. Returns a descriptor, or a negative errno. */
int examine_open(struct examination *e, const struct object *o);

/* A failure to open or to look at the object. Others are not told whether there is one. */
void examine_fail(struct examination *e, int error);

/* False: the range does not lie in the object, which was told. */
bool examine_range(struct examination *e, uint64_t size, uint64_t page_size);

/* For METHOD_SUBSCRIBE. */
void examine_subscription(struct examination *e);

/*
 * The same for METHOD_MONITOR, which remembers by itself: a generation that is not kept elsewhere.
 * Returns 0 or a negative errno.
 */
int examine_monitored(int fd, struct listed *l, uint64_t began);

/* For METHOD_FIND_CANDIDATES and METHOD_GET_REFAULTS. */
void examine_candidates(struct examination *e);

/*
 * The object of a passed descriptor, among all that there are: with who else has it. Else nothing
 * is done. False: an error was told.
 */
bool examine_passed(struct examination *e);
