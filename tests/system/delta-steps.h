/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * delta-steps: objects are changed at random, and after each step a service of its own is asked
 * what has changed since generations that it told before. All is compared page by page.
 *   delta-steps.c    options, and the sum
 *   delta-walk.c     the random steps, and their judgement
 *   delta-cases.c    what must be gone, and what must not
 *   delta-clients.c  several clients at once, and settling
 *   delta-object.c   objects, and what is done to them
 *   delta-truth.c    what the kernel's system calls say of them
 *   delta-client.c   asking, and reading of answers: by json-c and the public headers alone
 *   delta-service.c  the service
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/shmstate/delta.h"
#include "lib/shmstate/shmstate.h"

#define PAGES_MAX 4096
#define REGION 512 /* pages of the largest folio */

/* Instead of a state: the page lies behind the end. */
#define BEYOND 255

#define TO_END UINT64_MAX
#define ALL_STATES 0xffu

/* What each page is. */
struct view {
	uint64_t pages;
	uint8_t state[PAGES_MAX];
};

static inline int view_get(const struct view *v, uint64_t page)
{
	return page < v->pages ? v->state[page] : BEYOND;
}

bool view_equal(const struct view *a, const struct view *b);

/* ---- delta-steps.c ---- */

/* What was done and found, by all threads. */
struct tally {
	atomic_ulong steps;
	atomic_ulong deltas;  /* answers that were compared */
	atomic_ulong pages;   /* that were compared in them */
	atomic_ulong changed; /* pages that they told of */
	atomic_ulong gone;    /* GenerationGone, where it may be */
	atomic_ulong moved;   /* others moved pages meanwhile: asked again */
	atomic_ulong loose;   /* pages in large swap entries, of which mincore cannot tell */
	atomic_ulong wrong;
};

extern struct tally tally;

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Counts it, and prints the first of them. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
void heading(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t now_ms(void);

struct random {
	uint64_t state;
};

static inline uint64_t below(struct random *r, uint64_t n)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

/* ---- delta-object.c ---- */

enum kind {
	KIND_MEMFD,
	KIND_FILE,
	KIND_SYSV,
	KINDS,
};

struct object {
	enum kind kind;
	int fd;
	char *map; /* of PAGES_MAX pages, read and write, wherever it ends */
	uint64_t pages;
	uint64_t page_size;
	bool large;    /* has, or had, folios of more than a page */
	int shmid;     /* SysV */
	char path[64]; /* of a file; removed when done */
};

extern const char *memory_group; /* a memory cgroup that can be reclaimed; or NULL */

void object_make(struct object *o, enum kind kind, uint64_t pages);
void object_done(struct object *o);
/* Something at random, that may change nothing. Returns its name. */
const char *object_change(struct object *o, struct random *r);
void object_write(struct object *o, uint64_t first, uint64_t count);
void object_page_out(struct object *o, uint64_t first, uint64_t count);
void object_punch(struct object *o, uint64_t first, uint64_t count);

/* ---- delta-truth.c ---- */

/* Neither touches a page. */
void truth_look(const struct object *o, struct view *ret);
/* May the service say this of an object that looks so? How many pages differ. */
uint64_t truth_compare(const struct object *o, const struct view *truth, const struct view *told);
/* Against SEEK_DATA, the page table of our mapping and, if `count`, smaps: pages that differ. */
uint64_t truth_compare_others(const struct object *o, const struct view *told, bool count);

/* ---- delta-client.c ---- */

struct client {
	struct shmstate *service;
};

void client_open(struct client *c);
void client_close(struct client *c);

enum encoding {
	AS_CHANGES,          /* with `more` */
	AS_CHANGES_BY_PIECE, /* without: reply by reply */
	AS_FILE,
	ENCODINGS,
};

struct ask {
	uint64_t since; /* 0: all is asked for */
	uint64_t first;
	uint64_t count;  /* pages, or TO_END */
	unsigned states; /* a bit for each */
	enum encoding encoding;
	unsigned settle_ms; /* 0: it is not to settle */
};

#define ASK_ALL(number)                                                  \
	(struct ask)                                                     \
	{                                                                \
		.since = (number), .count = TO_END, .states = ALL_STATES \
	}

struct change {
	uint64_t first, count;
	int from, to; /* enum shmstate_state, or BEYOND */
};

struct answer {
	uint64_t generation; /* 0: not kept */
	uint64_t pages;      /* of the object */
	uint64_t counts[SHMSTATE_STATES];
	bool settled, stable;
	struct change *changes;
	size_t n, allocated;
	uint64_t n_bytes; /* of a file */
};

/* All pages. Returns the generation; dies without an answer. */
uint64_t client_look(struct client *c, const struct object *o, unsigned settle_ms, struct view *ret,
		     struct answer *ret_answer);
/* Returns false: GenerationGone. Another error ends it all. */
bool client_ask(struct client *c, const struct object *o, const struct ask *ask,
		struct answer *ret);
void answer_done(struct answer *a);
/* A number out of the answer to GetStatus. */
uint64_t client_status(struct client *c, const char *group, const char *field);

/* ---- delta-walk.c ---- */

/* The answer is what leads from one view to the other. Returns whether it is. */
bool judge(const struct answer *a, const struct ask *ask, const struct view *old,
	   const struct view *new, const char *what);
/* As many steps, on objects of all kinds; drops: the history is small, so that some are gone. */
void random_steps(unsigned long steps, bool drops, uint64_t seed);

/* ---- delta-cases.c, delta-clients.c ---- */

void cases(void);
void parallel_clients(unsigned seconds, uint64_t seed);
void settling(void);

/* ---- delta-service.c ---- */

extern const char *service_program;
extern char service_socket[128];

void service_start(const char *history_bytes);
void service_stop(void);
