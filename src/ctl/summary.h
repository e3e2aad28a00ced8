/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lines about an object and its snapshot above a table, as systemctl status has them. */

#include "ctl/ctl.h"
#include "model/snapshot.h"

/* s may be NULL: only what is known of the object. */
void summary_print(const struct object *o, const struct snapshot *s, bool bytes);

/* The first of them alone. */
void summary_print_object(const struct object *o);
