/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An object every page of which has content of its own, and the comparison of what probe_locate()
 * says of it with what the swap device holds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/locate.h"

#define PAGE 4096

struct subject {
	struct prober prober;
	struct kcaps caps;
	int fd;
	char *map; /* the only mapping: what is mapped twice is not paged out */
	uint64_t pages;
	uint32_t *generation; /* of each page; 0: a hole, or all zeros */
	int devices[SLOT_TYPES];
	char *device_paths[SLOT_TYPES];
	const char *reclaim; /* the file to write to for the swap cache to go, or NULL */
	bool half_random;    /* content that does not compress well */
	bool quiet;          /* nobody is changing the object */
};

struct tally {
	uint64_t compared; /* pages whose content was compared with the device */
	uint64_t cached;   /* of those: in the swap cache */
	uint64_t zero;     /* said to be zero, and were */
	uint64_t zswap;    /* said to be in zswap, and not on the device */
	uint64_t unknown;
	uint64_t moved; /* had another slot afterwards: not judged */
	uint64_t wrong;
};

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

void subject_open(struct subject *s, const char *dir, uint64_t pages);
void subject_done(struct subject *s);

/* Gives pages new content; every zero_each-th one (0: none) zeros. */
void subject_write(struct subject *s, uint64_t first, uint64_t count, uint64_t zero_each);
void subject_punch(struct subject *s, uint64_t first, uint64_t count);
/* Reads a byte of each step-th page. */
void subject_touch(struct subject *s, uint64_t first, uint64_t count, uint64_t step);
void subject_page_out(struct subject *s, uint64_t first, uint64_t count);
/* Takes out of the swap cache what can be. */
void subject_reclaim(struct subject *s);

/* probe_locate(), which must not fail. */
void locate(struct subject *s, const struct probe_request *request, struct slot_map *ret);

void subject_check(struct subject *s, uint64_t first, uint64_t count, struct tally *tally);
