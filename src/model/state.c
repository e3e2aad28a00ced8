/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "model/state.h"

static const char *const names[PAGE_STATE_MAX] = {
	[PAGE_HOLE] = "hole",       [PAGE_ALLOCATED] = "allocated",
	[PAGE_PRESENT] = "present", [PAGE_SWAP_CACHE] = "swap_cache",
	[PAGE_SWAPPED] = "swapped", [PAGE_POISONED] = "poisoned",
	[PAGE_IN_CORE] = "in_core", [PAGE_UNKNOWN] = "unknown",
};

const char *page_state_to_string(enum page_state state)
{
	return names[state];
}

static int state_from_text(const char *s, size_t len)
{
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		if (strlen(names[i]) == len && strncmp(names[i], s, len) == 0)
			return i;
	return -EINVAL;
}

int page_state_from_string(const char *s)
{
	return state_from_text(s, strlen(s));
}

int page_state_mask_parse(const char *s, page_state_mask *ret, const char **ret_bad)
{
	page_state_mask mask = 0;

	for (;;) {
		size_t len = strcspn(s, ",");
		int state = state_from_text(s, len);

		if (state < 0) {
			*ret_bad = s;
			return state;
		}
		mask |= PAGE_STATE_BIT(state);
		if (s[len] == '\0')
			break;
		s += len + 1;
	}
	*ret = mask;
	return 0;
}
