/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"
#include "view/reasons.h"

static const char *why(const struct kcaps *caps, enum kcap cap, int error)
{
	if (error == -ENOSYS)
		return "this kernel does not have it";
	if ((error == -EPERM || error == -EACCES) && cap == KCAP_MAP_FILES)
		return "needs CAP_CHECKPOINT_RESTORE";
	if ((error == -EPERM || error == -EACCES) && cap == KCAP_PROC_ALL)
		return "needs CAP_SYS_PTRACE";
	if (cap == KCAP_SWAP_SLOTS && error == -EPERM && kcaps_has(caps, KCAP_WALK))
		return "needs CAP_SYSLOG";
	if (cap == KCAP_SWAP_SLOTS && error == -EOPNOTSUPP && kcaps_has(caps, KCAP_WALK))
		return "what this kernel keeps about its swap is not as we know it";
	if (cap == KCAP_EVENTS_ALL && kcaps_has(caps, KCAP_EVENTS_SWAP_OUT))
		return "this kernel lets no program hear its functions";
	if (cap == KCAP_EVENTS_ALL || cap == KCAP_EVENTS_SWAP_OUT || cap == KCAP_WALK ||
	    (cap == KCAP_SWAP_SLOTS && error != -ENODATA))
		return text_walker_error(error);
	if (cap == KCAP_SWAP_SLOTS)
		return "no swap was found, perhaps since none was ever on";
	return strerror(-error);
}

const char *reason_of_capability(const struct kcaps *caps, enum kcap cap, char buf[REASON_MAX])
{
	int error = caps->error[cap];

	buf[0] = '\0';
	if (error)
		snprintf(buf, REASON_MAX, "%s; %s", why(caps, cap, error), kcap_without(cap));
	return buf;
}
