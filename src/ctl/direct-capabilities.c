/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "ctl/direct.h"
#include "track/events.h"
#include "util/text.h"
#include "view/reasons.h"

static int add_all(const struct kcaps *caps, struct capabilities *c)
{
	for (int i = 0; i < KCAP_MAX; i++) {
		enum kcap cap = (enum kcap)i;
		int error = caps->error[i];
		char reason[REASON_MAX];

		reason_of_capability(caps, cap, reason);
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
	struct events *events;
	struct utsname name;
	int r = kcaps_probe(caps);

	if (r < 0)
		return failed("cannot make a memfd to try the kernel on: %s", text_error(r));
	prober_open(prober, caps, PROBE_AUTO);
	prober_tell(prober, caps);
	if (events_new(EVENTS_ALL, &events) < 0)
		return out_of_memory();
	events_tell(events, caps);
	events_free(events);
	uname(&name);
	ret->kernel = strdup(name.release);
	ret->machine = strdup(name.machine);
	ret->probe = strdup(kcaps_has(caps, KCAP_WALK) ? "walk" : "portable");
	ret->page_size = caps->page_size;
	if (!ret->kernel || !ret->machine || !ret->probe || add_all(caps, ret) < 0)
		return out_of_memory();
	return 0;
}
