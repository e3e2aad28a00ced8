/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The oracles: system calls, asked here and not by what is tested, each of another kind. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "delta-steps.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

#define GROUP UINT64_C(64) /* pages that are asked for at once, if they are alike */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

struct slots {
	uint64_t cache, dirty, writeback, evicted, recently;
};

static bool count_slots(const struct object *o, uint64_t first, uint64_t count, struct slots *ret)
{
	struct {
		uint64_t offset, length;
	} range = {first * o->page_size, count * o->page_size};

	if (syscall(SYS_cachestat, o->fd, &range, ret, 0) == 0)
		return true;
	if (errno != ENOSYS)
		die("cachestat: %s", strerror(errno));
	return false;
}

static void *map_anew(const struct object *o, uint64_t pages)
{
	void *map = mmap(NULL, pages * o->page_size, PROT_NONE, MAP_SHARED, o->fd, 0);

	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return map;
}

static void read_core(const struct object *o, uint64_t pages, unsigned char *core)
{
	void *map = map_anew(o, pages);

	if (mincore(map, pages * o->page_size, core) < 0)
		die("mincore: %s", strerror(errno));
	munmap(map, pages * o->page_size);
}

/* Sets what has data: a page, in RAM or in the swap, that was written. */
static void read_data(const struct object *o, uint64_t pages, unsigned char *data)
{
	off_t end = (off_t)(pages * o->page_size), at = 0;

	memset(data, 0, pages);
	while (at < end && (at = lseek(o->fd, at, SEEK_DATA)) >= 0) {
		off_t stop = lseek(o->fd, at, SEEK_HOLE);

		/* it was punched or cut off meanwhile: looked at again by who asked */
		if (stop < 0)
			return;
		memset(data + (uint64_t)at / o->page_size, 1, (uint64_t)(stop - at) / o->page_size);
		at = stop;
	}
}

static uint8_t state_of(const struct slots *slots, bool in_core)
{
	if (slots->cache)
		return in_core ? SHMSTATE_PRESENT : SHMSTATE_ALLOCATED;
	if (slots->evicted)
		return in_core ? SHMSTATE_SWAP_CACHE : SHMSTATE_SWAPPED;
	return in_core ? SHMSTATE_UNKNOWN : SHMSTATE_HOLE;
}

static void look_at_group(const struct object *o, uint64_t first, uint64_t count,
			  const unsigned char *core, uint8_t *state)
{
	struct slots all, one;
	bool alike;

	count_slots(o, first, count, &all);
	alike = all.cache == count || all.evicted == count || (!all.cache && !all.evicted);
	one = all;
	for (uint64_t page = first; page < first + count; page++) {
		if (!alike)
			count_slots(o, page, 1, &one);
		state[page] = state_of(&one, core[page] & 1);
	}
}

/* Linux 6.1 has no cachestat. */
static void look_without(const struct object *o, const unsigned char *core, struct view *ret)
{
	unsigned char data[PAGES_MAX];

	read_data(o, ret->pages, data);
	for (uint64_t page = 0; page < ret->pages; page++)
		ret->state[page] = data[page]
					   ? (core[page] & 1 ? SHMSTATE_IN_CORE : SHMSTATE_SWAPPED)
				   : core[page] & 1 ? SHMSTATE_ALLOCATED
						    : SHMSTATE_HOLE;
}

void truth_look(const struct object *o, struct view *ret)
{
	unsigned char core[PAGES_MAX];
	struct slots slots;
	struct stat st;

	if (fstat(o->fd, &st) < 0)
		die("fstat: %s", strerror(errno));
	ret->pages = (uint64_t)st.st_size / o->page_size;
	read_core(o, ret->pages, core);
	if (!count_slots(o, 0, 1, &slots)) {
		look_without(o, core, ret);
		return;
	}
	for (uint64_t first = 0; first < ret->pages; first += GROUP)
		look_at_group(o, first, ret->pages - first < GROUP ? ret->pages - first : GROUP,
			      core, ret->state);
}

static bool is_slot(int state)
{
	return state == SHMSTATE_SWAPPED || state == SHMSTATE_SWAP_CACHE;
}

uint64_t truth_compare(const struct object *o, const struct view *truth, const struct view *told)
{
	uint64_t differ = truth->pages != told->pages;

	for (uint64_t page = 0; page < truth->pages && page < told->pages; page++) {
		int is = truth->state[page], said = told->state[page];

		if (is == said || (is == SHMSTATE_IN_CORE &&
				   (said == SHMSTATE_PRESENT || said == SHMSTATE_SWAP_CACHE)))
			continue;
		/* mincore and cachestat look a large entry up by its first page */
		if (o->large && is_slot(is) && is_slot(said)) {
			atomic_fetch_add(&tally.loose, 1);
			continue;
		}
		if (differ++ == 0)
			printf("page %" PRIu64 " is %s, and was said to be %s\n", page,
			       shmstate_state_name(is), shmstate_state_name(said));
	}
	return differ;
}

/* How many swap entries smaps finds under a mapping of all of it, which has no page table. */
static uint64_t count_entries(const struct object *o, uint64_t pages)
{
	void *map = map_anew(o, pages);
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char *line = NULL;
	size_t room = 0;
	uint64_t kib = UINT64_MAX;
	bool here = false;

	if (!smaps)
		die("/proc/self/smaps: %s", strerror(errno));
	while (getline(&line, &room, smaps) > 0) {
		if (line[0] < 'A' || line[0] > 'Z')
			here = strtoull(line, NULL, 16) == (uintptr_t)map;
		else if (here && sscanf(line, "Swap: %" SCNu64, &kib) == 1)
			break;
	}
	free(line);
	fclose(smaps);
	munmap(map, pages * o->page_size);
	return kib * 1024 / o->page_size;
}

/* What our page table holds is present. */
static uint64_t compare_mapped(const struct object *o, const struct view *told)
{
	static int fd = -1;
	uint64_t words[PAGES_MAX], differ = 0;
	size_t bytes = told->pages * sizeof(*words);

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pread(fd, words, bytes, (off_t)((uintptr_t)o->map / o->page_size * sizeof(*words))) !=
	    (ssize_t)bytes)
		die("/proc/self/pagemap: %s", strerror(errno));
	for (uint64_t page = 0; page < told->pages; page++)
		differ += (words[page] & PAGEMAP_PRESENT) && told->state[page] != SHMSTATE_PRESENT;
	return differ;
}

uint64_t truth_compare_others(const struct object *o, const struct view *told, bool count)
{
	uint64_t differ = compare_mapped(o, told), entries = 0;
	unsigned char data[PAGES_MAX];

	read_data(o, told->pages, data);
	for (uint64_t page = 0; page < told->pages; page++) {
		int said = told->state[page];

		differ += data[page] != (said == SHMSTATE_PRESENT || is_slot(said));
		entries += is_slot(said);
	}
	return differ + (count && entries != count_entries(o, told->pages));
}
