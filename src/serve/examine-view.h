/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside of examine.c: what it is doing; and its part about a process's view. */

#include "discover/target.h"
#include "serve/examine.h"

struct examination {
	struct worker *worker;
	const struct question *question;
	struct access *access;
	struct result *result;
	struct target_finder finder; /* looks at paths on behalf of the peer */
};

/* For METHOD_GET_PAGEMAP, once it is known that the peer may ask about the process. */
void examine_view(struct examination *e);
