/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is said about objects and answers, whoever gave them. */

#include "ctl/ctl.h"
#include "model/object.h"
#include "model/snapshot.h"

/* "00:01:25", with the generation where the number alone is not unique. buf: OBJECT_ID_MAX. */
const char *object_id_text(const struct object *o, char *buf);

/* Says that the verb takes one object, and which could be meant. */
void report_candidates(const char *verb, struct object *const *objects, size_t n);

/* Says on stderr why the pages asked for are not all known, and that some moved. Exit code. */
int report_snapshot(const struct snapshot *s, page_state_mask asked);
/* The same, and whether it settled if that was asked for. */
int report_answer(const struct snapshot *s, const struct options *o);
