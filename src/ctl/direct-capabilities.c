/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "ctl/direct.h"
#include "util/text.h"

/* Why it does not work, and what that means for the answers. */
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
	if (cap == KCAP_WALK || (cap == KCAP_SWAP_SLOTS && error != -ENODATA))
		return text_walker_error(error);
	if (cap == KCAP_SWAP_SLOTS)
		return "no swap was found, perhaps since none was ever on";
	return strerror(-error);
}

static int add_all(const struct kcaps *caps, struct capabilities *c)
{
	for (int i = 0; i < KCAP_MAX; i++) {
		enum kcap cap = (enum kcap)i;
		int error = caps->error[i];
		char reason[128];

		if (error)
			snprintf(reason, sizeof(reason), "%s; %s", why(caps, cap, error),
				 kcap_without(cap));
		if (capabilities_add(c, kcap_to_string(cap), error == 0, kcap_purpose(cap),
				     error ? reason : NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

int direct_capabilities(struct source *s, struct capabilities *ret)
{
	struct prober *prober = &direct_of(s)->query.prober;
	struct kcaps *caps = &direct_of(s)->query.caps;
	struct utsname name;
	int r = kcaps_probe(caps);

	if (r < 0)
		return failed("cannot make a memfd to try the kernel on: %s", text_error(r));
	prober_open(prober, caps, PROBE_AUTO);
	prober_tell(prober, caps);
	uname(&name);
	ret->kernel = strdup(name.release);
	ret->machine = strdup(name.machine);
	ret->probe = strdup(kcaps_has(caps, KCAP_WALK) ? "walk" : "portable");
	ret->page_size = caps->page_size;
	if (!ret->kernel || !ret->machine || !ret->probe || add_all(caps, ret) < 0)
		return out_of_memory();
	return 0;
}
