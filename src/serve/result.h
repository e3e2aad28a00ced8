/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a look has found, for as long as somebody still has to be told. */

#include <json-c/json.h>
#include <stdatomic.h>

#include "discover/discover.h"
#include "model/slot_map.h"
#include "model/snapshot.h"
#include "serve/ledger.h"
#include "serve/owners.h"
#include "track/history.h"
#include "view/process_view.h"

/* An object among others, and what its pages are. */
struct listed {
	const struct object *object; /* in the discovery */
	bool looked;                 /* that was asked for */
	int error;                   /* of the look: negative errno; 0: snapshot holds */
	struct snapshot snapshot;    /* without its map */
	/* For Monitor: */
	struct generation *generation; /* NULL: it was not looked at */
	struct identity identity;
	struct owners owners;
};

/* Pages of one mapping in one state; page: of the address space. */
struct view_run {
	uint64_t page;
	uint64_t count;
	uint32_t mapping; /* index in the view */
	int state;        /* enum page_state or enum view_state */
};

/* Owns all of it, and is shared: what is in it does not change once it has been found. */
struct result {
	atomic_uint n_references;
	struct ledger *held; /* where its memory is counted; NULL: nowhere */
	uid_t held_by;
	size_t n_held;
	const char *error; /* name of a varlink error; NULL: none */
	struct json_object *error_parameters;
	struct discovery discovery;
	struct object *object; /* that the question is about; in the discovery */
	struct snapshot snapshot;
	struct generation *generation; /* NULL, or what owns the snapshot's map */
	struct generation *since;      /* to be compared with; NULL: all is told */
	struct comebacks comebacks;    /* of the object, if they were asked for */
	const char *unproven;          /* why what came back is not known in full; NULL: it is */
	bool followed;                 /* more will be known of that */
	pid_t process;                 /* that maps it, of several or the only one; 0: none */
	bool several_processes;        /* do, and none of them was named */
	struct identity identity;      /* of the object, if there is a generation */
	bool recalled;                 /* it was found where it was before: not who else has it */
	uint64_t began;                /* the look, with all that led to it: CLOCK_MONOTONIC, ns */
	uint64_t took;                 /* ns */
	struct slot_map slots;
	struct listed *listed;
	size_t n_listed;
	struct process_view view;
	struct view_run *runs;
	size_t n_runs, n_runs_allocated;
	uint64_t runs_end;     /* page behind them; 0: nothing is left out */
	int words_fd;          /* sealed: words of a pagemap; -1: none */
	struct kcaps caps;     /* what works */
	uint64_t undetermined; /* pages of runs, or of words */
	bool own_undetermined; /* of these, some of private mappings: VIEW_PRIVATE_UNKNOWN */
	bool denied;           /* some processes could not be read */
};

struct result *result_new(void); /* NULL: out of memory */
struct result *result_ref(struct result *r);
struct result *result_unref(struct result *r); /* NULL is fine; returns NULL */

/*
 * Counts its memory there, as that user's, for as long as it lives. Returns 0, with what is held
 * then in all and by this user, or -ENOMEM.
 */
int result_hold(struct result *r, struct ledger *held, uid_t uid, size_t *ret_total,
		size_t *ret_of_user);

/* As it was at first, for another try. Only before it is shared. */
void result_reset(struct result *r);

/* Instead of anything else. Takes parameters over. error: static. */
void result_fail(struct result *r, const char *error, struct json_object *parameters);
