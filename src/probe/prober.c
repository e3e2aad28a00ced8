/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "probe/probe.h"
#include "util/util.h"

static const char *const choices[] = {
	[PROBE_AUTO] = "auto",
	[PROBE_WALK] = "walk",
	[PROBE_PORTABLE] = "portable",
	[PROBE_VERIFY] = "verify",
};

const char *probe_choice_to_string(enum probe_choice choice)
{
	return choices[choice];
}

int probe_choice_from_string(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
		if (strcmp(choices[i], s) == 0)
			return (int)i;
	return -EINVAL;
}

static int open_for(struct prober *p, const struct kcaps *caps, enum probe_choice choice,
		    enum walker_use use)
{
	*p = (struct prober){.caps = caps, .choice = choice};
	if (choice == PROBE_PORTABLE)
		return 0;
	p->walker_error = walker_new(use, &p->walker);
	p->slots.walker = p->walker;
	return choice == PROBE_AUTO ? 0 : p->walker_error;
}

int prober_open(struct prober *p, const struct kcaps *caps, enum probe_choice choice)
{
	return open_for(p, caps, choice, WALKER_STATES);
}

int prober_open_to_locate(struct prober *p, const struct kcaps *caps, enum probe_choice choice)
{
	return open_for(p, caps, choice, WALKER_LOCATE);
}

void prober_done(struct prober *p)
{
	walker_free(p->walker);
	*p = (struct prober){0};
}

void prober_tell(struct prober *p, struct kcaps *caps)
{
	int r = p->walker ? swap_slots_refresh(&p->slots) : p->walker_error;

	caps->error[KCAP_WALK] = p->walker_error;
	/* Before the first swapon there is nothing to find. */
	caps->error[KCAP_SWAP_SLOTS] = r == 0 && p->slots.way == SWAP_WAY_NONE ? p->slots.error : r;
}

int probe(struct prober *p, const struct probe_request *request, struct snapshot *ret)
{
	int r, walk_error = p->walker_error;

	switch (p->choice) {
	case PROBE_WALK:
		return probe_walk(p, request, ret);
	case PROBE_VERIFY:
		return probe_verify(p, request, ret);
	case PROBE_PORTABLE:
		return probe_portable(request, ret);
	case PROBE_AUTO:
		break;
	}
	if (p->walker) {
		walk_error = probe_walk(p, request, ret);
		if (walk_error != -EOPNOTSUPP)
			return walk_error;
	}
	r = probe_portable(request, ret);
	if (r >= 0)
		ret->walk_error = walk_error;
	return r;
}
