/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The descriptions of our interfaces, in the varlink language. */

extern const char description_own[];     /* io.shmstate: io.shmstate.varlink as it is */
extern const char description_general[]; /* org.varlink.service */
