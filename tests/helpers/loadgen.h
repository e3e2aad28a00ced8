/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loadgen - very many clients of the service at once, some of which behave badly, asking about
 * memory that this program makes, and whose states it therefore knows. One thread: it waits for
 * nobody, so that it is not what is measured.
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PASSED_MAX = 8,  /* descriptors that came and were not taken yet */
	PENDING_MAX = 4, /* calls of one client that wait for their answers */
	OBJECTS = 24,    /* that are there at a time */
};

/* ---- memory (loadgen-objects.c) ------------------------------------------------------------ */

/* What a page may be called. */
enum known {
	KNOWN_HOLE = 1 << 0,
	KNOWN_IN_CORE = 1 << 1, /* present, in_core */
	KNOWN_OUT = 1 << 2,     /* swapped, swap_cache */
	KNOWN_WRITTEN = KNOWN_IN_CORE | KNOWN_OUT,
};

/* Remembered for good, for an answer may come late; its number as a descriptor is used once. */
struct object {
	int fd; /* -1: gone */
	int number;
	dev_t dev;
	ino_t inode;
	uint64_t n_pages;
	uint8_t *known;      /* enum known of each page */
	uint64_t born, died; /* ns; 0: not yet */
	char *locked;        /* mapping that keeps what is in core there */
	struct object *older;
};

extern uint64_t page_size;

/* Stretches of run pages, in turn holes, written, and paged out; run 0: as it comes. */
struct object *object_new(uint64_t n_pages, uint64_t run, bool holes);
void object_close(struct object *o);
/* By inode, also of what is gone. */
struct object *object_find(uint64_t inode);
/* All that ever were. */
struct object *objects(void);
/*
 * Pages that the kernel (mincore) no longer has where they were put may be called either from now
 * on: somebody else's swapoff does that. Returns how many.
 */
uint64_t object_refresh(struct object *o);
uint64_t object_count(const struct object *o, uint64_t first, uint64_t count, unsigned known);

/* ---- calls and their answers (loadgen-answer.c) -------------------------------------------- */

enum kind {
	ASK_SUMMARIZE,
	ASK_EXTENTS,
	ASK_BITMAP,
	ASK_DESCRIPTOR,
	ASK_STATUS,
	ASK_LIST,
	ASK_KINDS,
};

extern const char *const kind_names[ASK_KINDS];

struct question {
	enum kind kind;
	struct object *object; /* NULL: none */
	uint64_t first, count; /* pages */
	uint64_t next;         /* the page that the next reply is to begin with */
	uint64_t asked;        /* ns */
	bool passes;           /* the object's descriptor goes along */
	bool more;
	unsigned n_listed;
};

enum verdict {
	ANSWER_RIGHT,
	ANSWER_WRONG,
	ANSWER_REFUSED, /* a named error that there may be under load */
	ANSWER_GONE,    /* the object had gone */
	ANSWER_MOVED,   /* pages of it were no longer where they had been put */
};

void question_random(struct question *q, enum kind kind, struct object *o);
/* The call, with its NUL; the caller frees it. */
char *question_format(const struct question *q, size_t *ret_length);
/* Says what is wrong. fds: those that came, taken from if one belongs to it. */
enum verdict question_judge(struct question *q, struct json_object *reply, int *fds, size_t *n_fds,
			    bool *ret_final);

/* ---- clients (loadgen-client.c) ------------------------------------------------------------ */

enum part {
	PART_ASKER,
	PART_STALLER,  /* asks much and reads nothing */
	PART_VANISHER, /* goes within a message, or within an answer */
	PART_GARBLER,  /* sends what is no call, and is to be put out */
	PART_GIANT,    /* sends a message of the greatest length there may be */
	PARTS,
};

struct client {
	int fd; /* -1: not connected */
	enum part part;
	char *out, *in;
	size_t out_length, out_sent, in_length, in_allocated;
	int out_fd; /* to go with the first byte, or -1 */
	int fds[PASSED_MAX];
	size_t n_fds;
	struct question pending[PENDING_MAX];
	size_t n_pending;
	uint64_t since; /* ns: of what it does now */
};

struct totals {
	uint64_t asked[ASK_KINDS], right[ASK_KINDS], wrong, refused, gone, moved, lost, put_out;
	uint64_t stalls, vanished, garbled, giants, not_put_out, giants_unanswered;
	uint64_t connected, turned_away;
};

extern struct totals totals;
extern const char *socket_path;
extern size_t message_limit;
extern unsigned n_asking;
extern struct object *alive[OBJECTS];

uint64_t now_ns(void);
int client_connect(struct client *c, int epoll);
void client_close(struct client *c);
/* Gives one that waits for nothing something to ask. */
void client_ask(struct client *c, int epoll);
/* Another round of what the badly behaved do. */
void client_misbehave(struct client *c, int epoll);
void client_ready(struct client *c, int epoll, uint32_t events);

/* ---- the service, seen from outside (loadgen-service.c) ------------------------------------ */

struct footprint {
	long fds, threads, rss_kib;
	long kept_kib; /* of this: answers that are kept, as it was told to */
	bool sanitized; /* its memory is not to be judged then */
};

/* One call on a connection of its own; fails the program if there is no answer. */
struct json_object *ask_once(const char *method);
/* Asks each question once, about little: what the service opens once and keeps is open then. */
void warm_up(void);
int footprint_read(pid_t pid, struct footprint *ret);
void measure(uint64_t n_pages, unsigned seconds);

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
