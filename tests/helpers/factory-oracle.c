// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Two ways of telling what a page is that share nothing with mincore, cachestat or SEEK_DATA.
 *
 * values: "Swap:" in smaps counts the swap entries in the page cache under a mapping. A mapping of
 * one page alone says whether that page is one. (swapped or swap_cache, that is.)
 *
 * touch: a page that is read was swapped if that was a major fault, a hole if the object has one
 * page more afterwards, and in core otherwise. This changes the object, so it comes last.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shmfactory.h"

enum {
	BATCH = 16384, /* well below vm.max_map_count */
	GROUP = 512,   /* no folio is larger, and none lies across a multiple of it */
	BLOCK = GROUP * 512,
};

/* ---- values --------------------------------------------------------------------------------- */

struct probe {
	uint64_t first; /* page */
	uint64_t count;
	uint64_t values;
};

struct probes {
	struct probe *item;
	size_t count;
	size_t room;
};

static void probes_add(struct probes *probes, uint64_t first, uint64_t count)
{
	if (probes->count == probes->room) {
		probes->room = probes->room ? probes->room * 2 : 1024;
		probes->item = realloc(probes->item, probes->room * sizeof(*probes->item));
		if (!probes->item)
			die("out of memory");
	}
	probes->item[probes->count++] = (struct probe){.first = first, .count = count};
}

/*
 * Reads the Swap lines of the mappings between base and end, which lie at a distance of unit. The
 * file is read as text in the order of addresses.
 */
static void read_smaps(struct probe *probe, size_t count, const char *base, size_t unit,
		       size_t page_size)
{
	uint64_t low = (uintptr_t)base, high = low + count * unit;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	struct probe *at = NULL;
	size_t room = 0;
	char *line = NULL;
	ssize_t length;

	if (!smaps)
		die("/proc/self/smaps: %s", strerror(errno));
	setvbuf(smaps, NULL, _IOFBF, 1 << 20);
	while ((length = getline(&line, &room, smaps)) > 0) {
		char *end;
		uint64_t start;

		if (!strncmp(line, "Swap:", 5) && at) {
			at->values = strtoull(line + 5, NULL, 10) * 1024 / page_size;
			at = NULL;
			continue;
		}
		/* keys begin with a capital letter, addresses are in small ones */
		if (line[0] >= 'A' && line[0] <= 'Z')
			continue;
		start = strtoull(line, &end, 16);
		/* what is left of a place behind a shorter mapping is none of them */
		if (*end != '-' || start < low || start >= high || (start - low) % unit)
			continue;
		/* the last of the mappings lies first, so that no two of them can be merged */
		at = &probe[count - 1 - (start - low) / unit];
	}
	free(line);
	fclose(smaps);
}

static void measure(struct factory *f, struct probes *probes, uint64_t unit_pages)
{
	size_t unit = unit_pages * f->page_size, done, i;
	int fd = object_own_fd(f);

	for (done = 0; done < probes->count;) {
		size_t left = probes->count - done;
		size_t most = unit_pages >= BLOCK ? 256 : BATCH;
		size_t count = left < most ? left : most;
		struct probe *probe = probes->item + done;
		char *base = mmap(NULL, count * unit, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (base == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		for (i = 0; i < count; i++)
			if (mmap(base + (count - 1 - i) * unit, probe[i].count * f->page_size,
				 PROT_READ, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
				 probe[i].first * f->page_size) == MAP_FAILED)
				die("mmap of a part: %s", strerror(errno));
		read_smaps(probe, count, base, unit, f->page_size);
		munmap(base, count * unit);
		done += count;
	}
}

static uint64_t at_most(uint64_t count, uint64_t most)
{
	return count < most ? count : most;
}

/* Splits what is neither empty nor full, and writes the rest down. */
static void settle(const struct probes *probes, uint64_t unit, struct probes *ret_open,
		   uint8_t *value)
{
	uint64_t page;
	size_t i;

	for (i = 0; i < probes->count; i++) {
		const struct probe *probe = &probes->item[i];

		if (!probe->values)
			continue;
		/* a single page of a large entry counts for all of it */
		if (unit == 1 || probe->values == probe->count) {
			for (page = probe->first; page < probe->first + probe->count; page++)
				value[page / 8] |= 1 << page % 8;
			continue;
		}
		for (page = probe->first; page < probe->first + probe->count;
		     page += unit == BLOCK ? GROUP : 1)
			probes_add(ret_open, page,
				   unit == BLOCK
					   ? at_most(GROUP, probe->first + probe->count - page)
					   : 1);
	}
}

void oracle_values(struct factory *f, const char *path)
{
	static const uint64_t units[] = {BLOCK, GROUP, 1};
	uint64_t pages = f->object.pages, page, end;
	uint8_t *value = calloc(pages / 8 + 1, 1);
	struct probes probes = {0};
	struct extents extents;
	size_t i;

	if (!value)
		die("out of memory");
	for (page = 0; page < pages; page += BLOCK)
		probes_add(&probes, page, at_most(BLOCK, pages - page));
	for (i = 0; i < 3; i++) {
		struct probes open = {0};

		measure(f, &probes, units[i]);
		settle(&probes, units[i], &open, value);
		free(probes.item);
		probes = open;
	}
	free(probes.item);

	extents_open(&extents, path);
	for (page = 0; page < pages; page = end) {
		bool is = value[page / 8] >> page % 8 & 1;

		for (end = page + 1; end < pages; end++)
			if (!(end & 7) && !is && end + 8 < pages && !value[end / 8])
				end += 7;
			else if ((value[end / 8] >> end % 8 & 1) != is)
				break;
		extents_add(&extents, page, end - page, is ? "value" : "other");
	}
	extents_close(&extents);
	free(value);
}

void oracle_value_map(struct factory *f, uint64_t first, uint64_t count, bool *ret)
{
	struct probes probes = {0};
	uint64_t i;

	for (i = 0; i < count; i++)
		probes_add(&probes, first + i, 1);
	measure(f, &probes, 1);
	for (i = 0; i < count; i++)
		ret[i] = probes.item[i].values != 0;
	free(probes.item);
}

/* ---- touch ---------------------------------------------------------------------------------- */

static sigjmp_buf on_fault;

static void sigbus(int number)
{
	(void)number;
	siglongjmp(on_fault, 1);
}

struct toucher {
	struct factory *f;
	int fd;
	char *place;
	struct extents extents;
	uint64_t blocks_per_page;
	uint64_t swapped;     /* as the inode counts, for large entries */
	uint64_t swapped_end; /* pages before this came in with one that was swapped */
	uint64_t hole_end;    /* pages before this were allocated with one that was a hole */
};

/*
 * A swap entry for a large folio comes in as a whole, and so may a large folio for a hole: then
 * its other pages were the same as the one that was touched.
 */
static const char *touched_more(struct toucher *t, uint64_t page, bool major, int64_t blocks)
{
	uint64_t now, count;

	if (major && t->f->large) {
		now = object_swapped(t->f);
		count = t->swapped - now;
		t->swapped = now;
		if (count > 1 && !(count & (count - 1)))
			t->swapped_end = (page & ~(count - 1)) + count;
	}
	/* a page that was read of a hole is clean, and can be dropped meanwhile */
	count = blocks > 0 ? blocks / t->blocks_per_page : 0;
	if (count > 1)
		t->hole_end = (page & ~(count - 1)) + count;
	return major ? "swapped" : count ? "hole" : "incore";
}

static const char *touch_one(struct toucher *t, uint64_t page)
{
	struct stat before, after;
	uint64_t major;
	volatile char *map;

	map = mmap(t->place, t->f->page_size, PROT_READ, MAP_SHARED | MAP_FIXED, t->fd,
		   page * t->f->page_size);
	if (map == MAP_FAILED)
		die("mmap of page %" PRIu64 ": %s", page, strerror(errno));
	fstat(t->fd, &before);
	major = own_major_faults();
	if (sigsetjmp(on_fault, 1))
		return "poisoned";
	(void)*map;
	major = own_major_faults() - major;
	fstat(t->fd, &after);
	if (page < t->swapped_end)
		return "swapped";
	if (page < t->hole_end)
		return "hole";
	return touched_more(t, page, major, (int64_t)after.st_blocks - before.st_blocks);
}

/* In an object too large for that, only pages where something is, and one on either side. */
static bool worth_touching(struct factory *f, uint64_t page)
{
	const struct expect *expect = &f->object.expect;

	return expect->pages < 1 << 22 || expect_get(expect, page) != SET(STATE_HOLE) ||
	       expect_get(expect, page + 1) != SET(STATE_HOLE) ||
	       (page && expect_get(expect, page - 1) != SET(STATE_HOLE));
}

static uint64_t next_worth_touching(struct factory *f, uint64_t page)
{
	while (page < f->object.pages && !worth_touching(f, page)) {
		uint64_t next = expect_next(&f->object.expect, page);

		page = next > page + 1 ? next - 1 : page + 1;
	}
	return page;
}

void oracle_touch(struct factory *f, const char *path)
{
	struct toucher t = {.f = f, .fd = object_own_fd(f), .blocks_per_page = f->page_size / 512};
	struct sigaction action = {.sa_handler = sigbus};
	uint64_t page;

	sigaction(SIGBUS, &action, NULL);
	t.place = mmap(NULL, f->page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t.place == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	t.swapped = object_swapped(f);
	extents_open(&t.extents, path);
	for (page = next_worth_touching(f, 0); page < f->object.pages;
	     page = next_worth_touching(f, page + 1))
		extents_add(&t.extents, page, 1, touch_one(&t, page));
	extents_close(&t.extents);
	munmap(t.place, f->page_size);
	signal(SIGBUS, SIG_DFL);
}
