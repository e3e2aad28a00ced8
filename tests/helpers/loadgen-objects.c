/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loadgen.h"

/* Numbers from here on are given to objects, and none twice: what is asked about is never another.
 */
#define FIRST_NUMBER 4096
/* Nobody is served meanwhile; what does not go may be called either. */
#define TRIES 4

static struct object *newest;
static int next_number = FIRST_NUMBER;

uint64_t page_size;

/* Neither zeros nor the same word again: that need not be written to be swapped. */
static void fill_page(char *address, uint64_t page)
{
	uint64_t *word = (uint64_t *)(void *)address;
	size_t i;

	for (i = 0; i < page_size / sizeof(*word); i += 64)
		word[i] = UINT64_C(0x4c4f000000000000) + (page << 8) + i + 1;
}

static void fill(char *map, uint64_t first, uint64_t count)
{
	uint64_t i;

	for (i = first; i < first + count; i++)
		fill_page(map + i * page_size, i);
}

/* A page that a processor still holds in a batch stays; it is written once more and tried again. */
static void page_out(char *map, uint64_t first, uint64_t count, uint8_t *known)
{
	unsigned char *in_core = malloc(count);
	uint64_t i, n = 1;
	int tries;

	if (!in_core)
		die("out of memory");
	for (tries = 0; n > 0 && tries < TRIES; tries++) {
		fill(map, first, count);
		madvise(map + first * page_size, count * page_size, MADV_PAGEOUT);
		mincore(map + first * page_size, count * page_size, in_core);
		for (i = 0, n = 0; i < count; i++)
			n += in_core[i] & 1;
		if (n > 0)
			usleep(500u << tries);
	}
	/* what is in core may be in the swap cache, and go from there */
	for (i = 0; i < count; i++)
		known[first + i] = in_core[i] & 1 ? KNOWN_WRITTEN : KNOWN_OUT;
	free(in_core);
}

static void keep_in_core(struct object *o, char *map, uint64_t first, uint64_t count)
{
	char *start = map + first * page_size;
	int known = KNOWN_IN_CORE;

	fill(map, first, count);
	if (mlock(start, count * page_size) < 0)
		known = KNOWN_WRITTEN;
	memset(o->known + first, known, count);
}

static void make_pages(struct object *o, uint64_t run, bool holes)
{
	unsigned turn = (unsigned)random(), n_turns = holes ? 3 : 2;
	uint64_t first, count;

	for (first = 0; first < o->n_pages; first += count, turn++) {
		count = run ? run : 1 + (uint64_t)random() % 60;
		if (count > o->n_pages - first)
			count = o->n_pages - first;
		switch (turn % n_turns) {
		case 0:
			page_out(o->locked, first, count, o->known);
			break;
		case 1:
			keep_in_core(o, o->locked, first, count);
			break;
		default:
			memset(o->known + first, KNOWN_HOLE, count);
		}
	}
}

struct object *object_new(uint64_t n_pages, uint64_t run, bool holes)
{
	struct object *o = calloc(1, sizeof(*o));
	struct stat st;
	int fd;

	if (!o)
		die("out of memory");
	o->n_pages = n_pages;
	o->known = calloc(1, n_pages);
	fd = memfd_create("shmstate-load", MFD_CLOEXEC);
	if (!o->known || fd < 0 || ftruncate(fd, (off_t)(n_pages * page_size)) < 0 ||
	    fstat(fd, &st) < 0)
		die("a memfd: %s", strerror(errno));
	o->locked = mmap(NULL, n_pages * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (o->locked == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	madvise(o->locked, n_pages * page_size, MADV_NOHUGEPAGE);
	o->dev = st.st_dev;
	o->inode = st.st_ino;
	make_pages(o, run, holes);
	o->fd = o->number = fcntl(fd, F_DUPFD_CLOEXEC, next_number++);
	if (o->fd < 0)
		die("descriptor %d: %s", next_number - 1, strerror(errno));
	close(fd);
	o->born = now_ns();
	o->older = newest;
	newest = o;
	return o;
}

/* Answers about it may still come. Nothing locks its pages from now on: they may be paged out
 * (DAMON was seen to, where it pages out what is idle), but what is out cannot come in. */
void object_close(struct object *o)
{
	uint64_t i;

	object_refresh(o);
	for (i = 0; i < o->n_pages; i++)
		if (o->known[i] == KNOWN_IN_CORE)
			o->known[i] = KNOWN_WRITTEN;
	o->died = now_ns();
	munmap(o->locked, o->n_pages * page_size);
	close(o->fd);
	o->fd = -1;
}

struct object *object_find(uint64_t inode)
{
	struct object *o;

	for (o = newest; o; o = o->older)
		if (o->inode == inode)
			return o;
	return NULL;
}

struct object *objects(void)
{
	return newest;
}

uint64_t object_count(const struct object *o, uint64_t first, uint64_t count, unsigned known)
{
	uint64_t i, n = 0;

	for (i = first; i < first + count; i++)
		n += !(o->known[i] & ~known);
	return n;
}

uint64_t object_refresh(struct object *o)
{
	unsigned char *in_core = calloc(1, o->n_pages);
	uint64_t i, n = 0;

	if (in_core && !o->died && mincore(o->locked, o->n_pages * page_size, in_core) == 0)
		for (i = 0; i < o->n_pages; i++)
			if (o->known[i] == (in_core[i] & 1 ? KNOWN_OUT : KNOWN_IN_CORE)) {
				o->known[i] = KNOWN_WRITTEN;
				n++;
			}
	free(in_core);
	return n;
}
