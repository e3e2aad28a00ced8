/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Why something could not be told, in words for people. */

#include <stddef.h>

#include "probe/kcaps.h"

#define REASON_MAX 160

/* Why the capability is not there, and what that means for answers; "" if it is. */
const char *reason_of_capability(const struct kcaps *caps, enum kcap cap, char buf[REASON_MAX]);
