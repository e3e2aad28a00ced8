// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ram-oracle PATH - tells of each page of a shmem object that others hold (PATH: /proc/PID/fd/FD)
 * what it is, as extents "first,count,state":
 *
 *     swapped     it has a swap entry, and mincore says that it is not in core
 *     swap_cache  it has one, and is in core
 *     in_core     it has none, and is in core
 *     none        neither
 *
 * Swap entries are counted by smaps, of mappings of a page each: see factory-oracle.c. No page is
 * touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shmfactory.h"

/* Sets bit 1 of what has a swap entry. */
static void read_values(struct factory *f, uint8_t *page)
{
	char path[] = "/tmp/ram-oracle.XXXXXX", line[128];
	unsigned long long first, count, i;
	int fd = mkstemp(path);
	FILE *file;

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	oracle_values(f, path);
	unlink(path);
	/* it was written anew, not replaced */
	file = fdopen(fd, "r");
	if (!file)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (strstr(line, ",value") && sscanf(line, "%llu,%llu", &first, &count) == 2)
			for (i = first; i < first + count; i++)
				page[i] |= 2;
	fclose(file);
}

/* Sets bit 0 of what is in core. */
static void read_core(struct factory *f, uint8_t *page)
{
	uint64_t pages = f->object.pages, i;
	unsigned char *core = malloc(pages);
	void *map = mmap(NULL, f->object.size, PROT_NONE, MAP_SHARED | MAP_NORESERVE,
			 object_own_fd(f), 0);

	if (!core || map == MAP_FAILED || mincore(map, f->object.size, core) < 0)
		die("mincore: %s", strerror(errno));
	for (i = 0; i < pages; i++)
		page[i] |= core[i] & 1;
	munmap(map, f->object.size);
	free(core);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"none", "in_core", "swapped", "swap_cache"};
	struct factory f = {.page_size = sysconf(_SC_PAGESIZE)};
	struct extents extents;
	struct stat st;
	uint8_t *page;
	uint64_t i;
	int fd;

	if (argc != 2)
		die("Usage: ram-oracle PATH");
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !st.st_size)
		die("%s: %s", argv[1], errno ? strerror(errno) : "it is empty");
	object_adopt(&f, KIND_MEMFD, fd, st.st_size);
	page = calloc(f.object.pages, 1);
	if (!page)
		die("out of memory");
	read_values(&f, page);
	read_core(&f, page);
	extents_open(&extents, "/dev/stdout");
	for (i = 0; i < f.object.pages; i++)
		extents_add(&extents, i, 1, names[page[i]]);
	extents_close(&extents);
	return 0;
}
