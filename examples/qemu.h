/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What QEMU tells, by QMP or by its command line, about where the guest sees its RAM. A part of
 * migration-agent.
 */
#ifndef QEMU_H
#define QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	MAX_BLOCKS = 16,
	MAX_PIECES = 64,
	NAME_ROOM = 128,
};

/* Bytes of a block that follow each other in the guest's memory, or that it does not see. */
struct piece {
	bool seen;
	uint64_t address; /* in the guest, if it is seen there */
	uint64_t offset;  /* in the block */
	uint64_t size;
};

/* A RAM block: memory of QEMU's. */
struct block {
	char name[NAME_ROOM];
	bool have_address;
	uint64_t address; /* where QEMU has mapped it */
	size_t n_pieces;
	struct piece piece[MAX_PIECES];
};

struct blocks {
	size_t count;
	struct block item[MAX_BLOCKS];
};

/* What fails ends the program with one line: see migration-agent.c. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

struct qmp;

struct qmp *qmp_open(const char *path);
/* The process that listens: QEMU. */
pid_t qmp_peer(const struct qmp *qmp);
void qmp_run(struct qmp *qmp, const char *command);
bool qmp_guest_runs(struct qmp *qmp);
/* QEMU itself tells where its memory backends are, in the guest and in its own memory. */
void qmp_find_blocks(struct qmp *qmp, pid_t pid, struct blocks *blocks);

/*
 * How much RAM lies below 4 GiB, by the rules of QEMU's pc and q35 machines and QEMU's command
 * line. To ask it by QMP is better: it knows.
 */
uint64_t bytes_below_4g(pid_t pid, uint64_t size);
void block_add_piece(struct block *block, uint64_t address, uint64_t offset, uint64_t size);
/* Makes the pieces cover the block: sorted by offset, joined, and with what the guest does not see.
 */
void block_cover(struct block *block, uint64_t size);

#endif
