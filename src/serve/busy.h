/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* What there was too much of: BusyBound of the interface. */
enum busy_bound {
	BUSY_QUEUED_SCANS,
	BUSY_QUEUED_SCANS_OF_OTHERS,
	BUSY_QUEUED_SCANS_OF_USER,
	BUSY_HELD_BYTES,
	BUSY_HELD_BYTES_OF_OTHERS,
	BUSY_HELD_BYTES_OF_USER,
	BUSY_SCAN_SECONDS,
	BUSY_DEAD_PATHS,
};

/* Why something was not taken, and how much of that may be: a number, bytes or seconds. */
struct busy {
	enum busy_bound bound;
	size_t limit;
};
