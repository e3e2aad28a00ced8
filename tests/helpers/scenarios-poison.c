// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that could not be read from the swap. The swap lies on a loop device; its file is
 * truncated under it, so that every read of it fails, and the entry of each page that is touched
 * becomes a poisoned one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmfactory.h"

static sigjmp_buf on_fault;

static void sigbus(int number)
{
	(void)number;
	siglongjmp(on_fault, 1);
}

static bool fails(struct factory *f, uint64_t page)
{
	volatile char *map = mmap(NULL, f->page_size, PROT_READ, MAP_SHARED, object_own_fd(f),
				  page * f->page_size);

	if (map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (sigsetjmp(on_fault, 1)) {
		munmap((void *)map, f->page_size);
		return true;
	}
	(void)*map;
	munmap((void *)map, f->page_size);
	return false;
}

/* Nobody else's pages may lie on a swap that is to be damaged. */
static uint64_t swap_used(const struct factory *f)
{
	unsigned long long used;
	FILE *file = fopen("/proc/swaps", "re");
	char line[512], name[128];
	uint64_t ret = UINT64_MAX;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%127s %*s %*s %llu", name, &used) == 2 &&
		    !strcmp(name, f->swap_name))
			ret = used * 1024 / f->page_size;
	if (file)
		fclose(file);
	return ret;
}

static void damage(struct factory *f)
{
	char path[128], backing[256], *end;
	uint64_t used = swap_used(f);

	if (used != f->pages)
		cannot("%s holds more than the object's pages: %llu, not %llu", f->swap_name,
		       (unsigned long long)used, (unsigned long long)f->pages);
	snprintf(path, sizeof(path), "/sys/block/%.16s/loop/backing_file", f->swap_name + 5);
	if (!read_text(path, backing, sizeof(backing)))
		cannot("%s: %s", path, strerror(errno));
	end = strchr(backing, '\n');
	if (end)
		*end = '\0';
	sync();
	if (truncate(backing, 0) < 0)
		cannot("%s: %s", backing, strerror(errno));
}

static void poison(struct factory *f, uint64_t step, unsigned poisoned, unsigned swapped)
{
	struct expect *expect = &f->object.expect;
	uint64_t page;

	object_create(f, KIND_MEMFD, f->pages * f->page_size);
	swap_out_pages(f, 0, f->pages, 1);
	if (expect_get(expect, 0) != SET(STATE_SWAPPED))
		cannot("the swap cache cannot be emptied here: no memory cgroup");
	damage(f);
	signal(SIGBUS, sigbus);
	for (page = 0; page < f->pages; page++) {
		expect_set(expect, page, 1, page % step ? swapped : poisoned);
		if (page % step == 0 && !fails(f, page))
			die("page %llu could be read from a swap that is gone",
			    (unsigned long long)page);
	}
	signal(SIGBUS, SIG_DFL);
	snprintf(f->note, sizeof(f->note), " poison=1");
}

static void make_all(struct factory *f)
{
	poison(f, 1, SET(STATE_POISONED), 0);
}

/* Without a look at the page cache itself the two cannot always be told apart. */
static void make_some(struct factory *f)
{
	poison(f, 3, SET(STATE_POISONED) | SET(STATE_UNKNOWN),
	       SET(STATE_SWAPPED) | SET(STATE_UNKNOWN));
}

const struct scenario poison_scenarios[] = {
	{"poisoned", "every page lost in the swap", NEEDS_LOOP, 16, make_all},
	{"poisoned-some", "every third page lost in the swap", NEEDS_LOOP, 16, make_some},
	{NULL, NULL, 0, 0, NULL},
};
