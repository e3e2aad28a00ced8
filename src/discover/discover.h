/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which shared memory objects exist, who holds and who maps them. Two ways lead to the same answer:
 * BPF iterators over all descriptors and mappings (iterate.h), and, wherever those cannot be had,
 * /proc/PID/fd, maps and map_files of all processes. The list of SysV segments adds those that
 * nobody maps. Nothing is opened (but by O_PATH).
 *
 * The iterators see more where /proc shows the first thread of a process only: descriptors that
 * another thread does not share, and all that is left of a process whose first thread has exited.
 *
 * Not seen: objects that no process holds or maps any more except through the kernel (a descriptor
 * on its way through a socket, io_uring's fixed files), and tmpfs files that nobody has open.
 */

#include "discover/device.h"
#include "model/object.h"
#include "probe/kcaps.h"

enum discover_way {
	DISCOVER_AUTO, /* iterators, or else /proc */
	DISCOVER_ITERATORS,
	DISCOVER_PROC,
};

struct iterators;
struct target_finder;

/* All zeros is a good choice. */
struct discover_options {
	enum discover_way way;       /* one that is forced fails rather than fall back */
	struct iterators *iterators; /* loaded before; NULL: for this once. Borrowed. */
	/* Who looks at paths, for as long as there is the discovery. Borrowed. */
	const struct target_finder *finder;
};

struct discovery {
	const struct kcaps *caps;
	enum discover_way way; /* that was gone: not DISCOVER_AUTO */
	int proc_fd;           /* directory that stands for /proc */
	const struct target_finder *finder;
	const struct object *at_path; /* that the selector's path leads to */
	struct device_cache devices;
	void *tree; /* tsearch(3) of struct object by DEV:INO; twins hang on the first */
	struct object **objects;
	size_t n_objects, n_objects_allocated;
	unsigned n_denied_processes; /* could not be read for want of privilege */
	unsigned n_denied_mappings;  /* likewise: mappings not known to be shared memory or not */
};

void discovery_done(struct discovery *d);

/*
 * Looks at one process, or at all and the SysV segments if pid is 0. proc: the path of /proc, or of
 * a captured tree. Returns 0, -ESRCH (pid is no process), or another negative errno. Processes that
 * exit meanwhile are no error.
 */
int discover(const struct kcaps *caps, const char *proc, pid_t pid, struct discovery *ret);

/*
 * The same, with options; NULL: none. One process and a captured tree are always looked at through
 * /proc, for which DISCOVER_ITERATORS is -EOPNOTSUPP; so it is if /proc is not that of our pid
 * namespace, which the iterators show.
 */
int discover_with(const struct discover_options *options, const struct kcaps *caps,
		  const char *proc, pid_t pid, struct discovery *ret);

/* What one look at one descriptor or mapping shows. Strings are borrowed. */
struct sighting {
	struct object_id id;
	enum object_kind kind;
	bool separate;    /* known to be none of the objects sighted so far */
	const char *link; /* text of the link, or path in maps; "" if not known */
	bool have_size;
	uint64_t size;
	bool deleted;
	bool leased; /* known to have a lease on it; /proc does not tell */
	uint64_t page_size;
};

/* The object that was sighted, made if it is new. Owned by the discovery. 0 or a negative errno. */
int discovery_note(struct discovery *d, const struct sighting *s, struct object **ret);

/*
 * The object of a descriptor of our own, and nothing else; we are its only holder. Returns 0 and a
 * discovery with one object, -ENOTTY (that is no shared memory), or another negative errno.
 */
int discover_descriptor(const struct kcaps *caps, int fd, struct discovery *ret);

/*
 * The object as it was seen before, and nothing else: no process is looked at. Whether it is still
 * there object_open() will tell. Takes o over. Returns 0 or a negative errno.
 */
int discover_recalled(const struct kcaps *caps, struct object *o, struct discovery *ret);

/* The parts; each notes what it sees. Return 0 or a negative errno. */
int discover_process(struct discovery *d, pid_t pid);
int discover_sysv(struct discovery *d);

/*
 * Is the segment locked into RAM by SHM_LOCK? dir_fd: /proc/PID of a process that maps it. Returns
 * 1, 0 or a negative errno: it cannot be told.
 */
int sysv_is_locked(int dir_fd, ino_t shmid);
