/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve/privileges.h"
#include "util/util.h"

int privileges_drop_loading(void)
{
	static const unsigned dropped[] = {CAP_BPF, CAP_PERFMON};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, caps) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		struct __user_cap_data_struct *word = &caps[CAP_TO_INDEX(dropped[i])];

		/* with the inheritable one the ambient one goes */
		word->effective &= ~CAP_TO_MASK(dropped[i]);
		word->permitted &= ~CAP_TO_MASK(dropped[i]);
		word->inheritable &= ~CAP_TO_MASK(dropped[i]);
	}
	return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}
