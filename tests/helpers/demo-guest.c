// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * demo-guest - holds memory as a guest's is, for tools/demo.
 *
 * Makes a memfd of 256 MiB with the name guest-ram, brings its pages into the states below as far
 * as the swap that is on allows, prints a line that begins with "ready", and keeps the memory
 * until its standard input ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmfactory.h"

enum {
	SIZE_MIB = 256,
	PAGED_OUT_MIB = 64, /* no more than this goes to the swap */
};

static const struct area {
	unsigned from, to; /* MiB */
	enum page_state state;
} areas[] = {
	{0, 16, STATE_PRESENT},  /* in use */
	{16, 24, STATE_SWAPPED}, /* not looked at for long */
	{24, 28, STATE_PRESENT},    {28, 30, STATE_SWAP_CACHE}, {30, 64, STATE_SWAPPED},
	{64, 72, STATE_SWAP_CACHE}, /* written to the swap, and still in memory too */
	{72, 88, STATE_ALLOCATED},  /* asked for by fallocate(), never written */
	{88, 255, STATE_HOLE},      /* never touched */
	{255, 256, STATE_PRESENT},  /* the firmware */
};

static enum page_state plan(uint64_t page, uint64_t pages)
{
	unsigned mib = page * SIZE_MIB / pages;
	size_t i;

	for (i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		if (mib >= areas[i].from && mib < areas[i].to)
			return areas[i].state;
	return STATE_HOLE;
}

/* Without a swap nothing can be paged out, and stays. */
static enum page_state plan_without_swap(uint64_t page, uint64_t pages)
{
	enum page_state state = plan(page, pages);

	return state == STATE_SWAPPED || state == STATE_SWAP_CACHE ? STATE_PRESENT : state;
}

/*
 * The guest has its memory mapped, but of what is present it has looked at the first part only:
 * the rest was written by another process, or through another mapping.
 */
static void use_memory(struct factory *f)
{
	size_t mib = 1 << 20, i;

	object_map(f);
	for (i = 0; i < 8 * mib; i += f->page_size)
		(void)*(volatile char *)(f->object.address + i);
}

int main(void)
{
	struct factory f = {.page_size = sysconf(_SC_PAGESIZE)};
	uint64_t size = (uint64_t)SIZE_MIB << 20;
	const char *dropped = "yes";
	char byte;
	int fd;

	if (geteuid())
		cannot("only root can do this");
	guardian_start();
	swap_find(&f);
	/* no readahead from the swap: it would move pages while they are shown */
	set_knob("/proc/sys/vm/page-cluster", "0");
	group_make(&f);

	fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, size) < 0)
		die("a memfd of %d MiB: %s", SIZE_MIB, strerror(errno));
	object_adopt(&f, KIND_MEMFD, fd, size);
	build(&f, f.swap == SWAP_NONE ? plan_without_swap : plan);
	if (f.swap == SWAP_ASYNC &&
	    expect_get(&f.object.expect, f.object.pages * 16 / SIZE_MIB) != SET(STATE_SWAPPED))
		dropped = "no";
	object_close_own_fd(&f);
	use_memory(&f);

	printf("ready pid=%d fd=%d address=%lx pages=%llu class=%s swap=%s dropped=%s\n", getpid(),
	       fd, (unsigned long)f.object.address, (unsigned long long)f.object.pages,
	       f.swap == SWAP_NONE    ? "none"
	       : f.swap == SWAP_SYNC  ? "sync"
	       : f.swap == SWAP_ASYNC ? "async"
				      : "mixed",
	       f.swap_name, dropped);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
