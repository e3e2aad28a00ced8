/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shmfactory - makes shared memory whose pages are in known states.
 *
 * The factory is two processes: a guardian, which undoes what was changed in the system when the
 * worker ends in whatever way, and the worker, which makes the object and obeys commands.
 */
#ifndef SHMFACTORY_H
#define SHMFACTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
	EXIT_CANNOT = 77,
	WINDOW_PAGES = 4096,
};

/* ---- states ---------------------------------------------------------------------------- */

enum page_state {
	STATE_HOLE,
	STATE_ALLOCATED,
	STATE_PRESENT,
	STATE_SWAP_CACHE,
	STATE_SWAPPED,
	STATE_POISONED,
	STATE_UNKNOWN,
	STATE_MAX,
};

#define SET(state) (1u << (state))

const char *state_name(enum page_state state);

/* What is expected of every page: a set of states, in chunks that exist once one is not a hole. */
struct expect {
	uint64_t pages;
	uint8_t **chunk;
	size_t chunks;
};

void expect_init(struct expect *expect, uint64_t pages);
void expect_resize(struct expect *expect, uint64_t pages);
void expect_set(struct expect *expect, uint64_t first, uint64_t count, unsigned set);
unsigned expect_get(const struct expect *expect, uint64_t page);
/* The next page at or after page whose chunk exists, or expect->pages. */
uint64_t expect_next(const struct expect *expect, uint64_t page);
void expect_write(const struct expect *expect, const char *path);

/* CSV extents, merged as they are added. */
struct extents {
	FILE *file;
	uint64_t first;
	uint64_t count;
	char name[64];
};

void extents_open(struct extents *extents, const char *path);
void extents_add(struct extents *extents, uint64_t first, uint64_t count, const char *name);
void extents_close(struct extents *extents);

/* ---- the object and the factory ---------------------------------------------------------- */

enum object_kind {
	KIND_MEMFD,
	KIND_TMPFS,
	KIND_DELETED,
	KIND_SYSV,
	KIND_ANON,
	KIND_HUGETLB,
	KIND_SECRETMEM,
	KIND_GUEST_MEMFD,
};

enum swap_class {
	SWAP_NONE,
	SWAP_SYNC,  /* zram: a page that was paged out has left the swap cache */
	SWAP_ASYNC, /* a file or disk: it stays there until it is reclaimed */
	SWAP_MIXED, /* several swaps of the highest priority: nobody knows which one gets a page */
};

struct object {
	enum object_kind kind;
	int fd;     /* the descriptor that the ready line names, or -1 */
	int own_fd; /* a second one for the factory's own use, opened when first needed */
	int shmid;
	char *address; /* the mapping that the ready line names, or NULL */
	size_t mapped;
	uint64_t size;
	uint64_t pages;
	unsigned major, minor;
	uint64_t inode;
	struct expect expect;
};

struct factory {
	const struct scenario *scenario;
	uint64_t pages; /* that the scenario should have */
	size_t page_size;
	struct object object;

	enum swap_class swap;
	bool swap_is_loop;
	char swap_name[128];

	pid_t reported_pid; /* the process that the ready line names */
	char *window;       /* an aligned range of addresses for short-lived mappings */
	char group[256];    /* a memory cgroup of our own, or "" */
	char home[256];     /* the one that we came from */
	bool group_v1;
	char dir[128];  /* a tmpfs of our own, or "" */
	char note[256]; /* appended to the ready line */
	char path[160]; /* of a file that can be opened by name, or "" */
	bool by_id;     /* the id names one object only */
	bool large;     /* pages may come and go several at a time */
};

enum {
	NEEDS_SWAP = 1,
	NEEDS_ASYNC = 2, /* a swap with a swap cache to stay in */
	NEEDS_LOOP = 4,
};

struct scenario {
	const char *name;
	const char *what;
	unsigned needs;
	unsigned divide; /* the scenario takes 1/divide of the usual number of pages */
	void (*make)(struct factory *f);
};

extern const struct scenario basic_scenarios[];
extern const struct scenario size_scenarios[];
extern const struct scenario cache_scenarios[];
extern const struct scenario process_scenarios[];
extern const struct scenario large_scenarios[];
extern const struct scenario special_scenarios[];
extern const struct scenario poison_scenarios[];

/* ---- factory-object.c -------------------------------------------------------------------- */

void object_create(struct factory *f, enum object_kind kind, uint64_t size);
/* Takes over a descriptor: size, id and expectation (all holes). */
void object_adopt(struct factory *f, enum object_kind kind, int fd, uint64_t size);
void object_map(struct factory *f);
/* Says that the size changed; the expectation keeps its pages, new ones are holes. */
void object_resized(struct factory *f, uint64_t size);
int object_own_fd(struct factory *f);
void object_close_own_fd(struct factory *f);
int open_mapping(pid_t pid, const char *address, size_t length, int flags);
uint64_t object_blocks(struct factory *f);
uint64_t object_swapped(struct factory *f);
const char *kind_name(enum object_kind kind);

/* ---- factory-build.c --------------------------------------------------------------------- */

typedef enum page_state (*plan_fn)(uint64_t page, uint64_t pages);

/* Puts every page of the (empty) object in the state that the plan wants. */
void build(struct factory *f, plan_fn plan);
/*
 * Single steps, each on count pages, every step-th from first on; they note what they expect.
 * swap_out and swap_cache write the pages first; swap_cache makes "swapped" where the swap has no
 * swap cache to stay in. touch reads the pages through the object's mapping.
 */
void write_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step);
void swap_out_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step);
void swap_cache_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step);
void allocate_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step);
void touch_pages(struct factory *f, uint64_t first, uint64_t count, unsigned step);
void fill_page(char *address, uint64_t page, size_t page_size);
/* Pages out what a mapping has mapped, and says how many pages of the object that moved. */
uint64_t page_out(struct factory *f, char *address, size_t length);
/*
 * Reclaims what the group holds until none of these pages is in core; notes what is to be
 * expected of them then.
 */
void drop_swap_cache(struct factory *f, uint64_t first, uint64_t count, unsigned step);

/* ---- factory-system.c -------------------------------------------------------------------- */

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void cannot(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

enum undo {
	UNDO_WRITE,  /* path, text */
	UNDO_UMOUNT, /* path */
	UNDO_RMDIR,  /* path */
	UNDO_SHMRM,  /* number */
	UNDO_GROUP,  /* path: of a cgroup, once its processes are gone */
};

/* Starts the guardian; returns in the worker only. */
void guardian_start(void);
void undo_later(enum undo what, const char *path, const char *text, int number);

bool read_text(const char *path, char *ret, size_t size);
bool write_text(const char *path, const char *text);
/* Writes text and has the guardian write back what was there; says whether that worked. */
bool set_knob(const char *path, const char *text);

void swap_find(struct factory *f);
void group_make(struct factory *f);
void group_enter(struct factory *f);
void group_leave(struct factory *f);
void group_reclaim(struct factory *f);
/* A tmpfs of our own with these options, or a temporary directory of the usual one. */
void tmpfs_mount(struct factory *f, const char *options);
uint64_t vmstat(const char *name);
uint64_t own_major_faults(void);
void counters_print(struct factory *f);
/* A child that lives until the factory ends; returns 0 in the child. */
pid_t spawn(void);

/* ---- factory-oracle.c -------------------------------------------------------------------- */

void oracle_values(struct factory *f, const char *path);
void oracle_touch(struct factory *f, const char *path);
/* Which of these pages are swap entries, as smaps says of a mapping of each alone? */
void oracle_value_map(struct factory *f, uint64_t first, uint64_t count, bool *ret);

#endif
