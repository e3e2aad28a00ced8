/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "track/events.h"

static const char *const levels[EVENTS_LEVEL_MAX] = {
	[EVENTS_NONE] = "none",
	[EVENTS_SWAP_OUT] = "swap_out",
	[EVENTS_ALL] = "all",
};

static const char *const kinds[EVENT_KIND_MAX] = {
	[EVENT_SWAP_OUT] = "swap_out", [EVENT_SWAP_IN] = "swap_in", [EVENT_INSERT] = "insert",
	[EVENT_REMOVE] = "remove",     [EVENT_SWAPOFF] = "swapoff",
};

const char *events_level_to_string(enum events_level level)
{
	return levels[level];
}

const char *event_kind_to_string(enum event_kind kind)
{
	return kinds[kind];
}

void events_tell(const struct events *e, struct kcaps *caps)
{
	caps->error[KCAP_EVENTS_SWAP_OUT] = events_error(e, EVENTS_SWAP_OUT);
	caps->error[KCAP_EVENTS_ALL] = events_error(e, EVENTS_ALL);
}
