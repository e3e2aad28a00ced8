/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which probe answers, and what it keeps from one request to the next. */

#include "probe/kcaps.h"
#include "probe/swap-slots.h"
#include "probe/walker.h"

enum probe_choice {
	PROBE_AUTO,     /* the walk; where it cannot be had, the portable probe */
	PROBE_WALK,     /* never falls back */
	PROBE_PORTABLE, /* likewise: BPF is not even loaded */
	PROBE_VERIFY,   /* both, compared page by page */
};

const char *probe_choice_to_string(enum probe_choice choice);
int probe_choice_from_string(const char *s); /* or -EINVAL */

/* Holds no object between requests. An all-zero one is closed. */
struct prober {
	const struct kcaps *caps; /* borrowed */
	enum probe_choice choice;
	struct walker *walker; /* NULL: not chosen, or not to be had: */
	int walker_error;      /* the negative errno that says why */
	struct swap_slots slots;
};

/*
 * Loads what the choice needs. Returns 0, or the walker's error if walk or verify was asked for
 * and it is not to be had.
 */
int prober_open(struct prober *p, const struct kcaps *caps, enum probe_choice choice);
/* The same, for probe_locate() too. */
int prober_open_to_locate(struct prober *p, const struct kcaps *caps, enum probe_choice choice);
void prober_done(struct prober *p);

/* Puts into caps what this prober can do. */
void prober_tell(struct prober *p, struct kcaps *caps);
