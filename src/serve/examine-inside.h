/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inside of the examination: what it is doing.
 *   examine.c             who may ask, which object, lists
 *   examine-generation.c  an object's pages, and what is remembered of them
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
