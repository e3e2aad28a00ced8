// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The expectation of every page, and CSV extents.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmfactory.h"

/* Objects of terabytes have few pages, so chunks come into being as they are needed. */
enum {
	CHUNK = 1 << 15,
};

static const char *const state_names[STATE_MAX] = {
	[STATE_HOLE] = "hole",       [STATE_ALLOCATED] = "allocated",
	[STATE_PRESENT] = "present", [STATE_SWAP_CACHE] = "swap_cache",
	[STATE_SWAPPED] = "swapped", [STATE_POISONED] = "poisoned",
	[STATE_UNKNOWN] = "unknown",
};

const char *state_name(enum page_state state)
{
	return state_names[state];
}

void expect_init(struct expect *expect, uint64_t pages)
{
	memset(expect, 0, sizeof(*expect));
	expect_resize(expect, pages);
}

void expect_resize(struct expect *expect, uint64_t pages)
{
	size_t chunks = (pages + CHUNK - 1) / CHUNK;
	size_t keep = expect->chunks < chunks ? expect->chunks : chunks;
	uint8_t **chunk = calloc(chunks + 1, sizeof(*chunk));
	size_t i;

	if (!chunk)
		die("out of memory");
	for (i = 0; i < keep; i++)
		chunk[i] = expect->chunk[i];
	for (i = keep; i < expect->chunks; i++)
		free(expect->chunk[i]);
	free(expect->chunk);
	expect->chunk = chunk;
	expect->chunks = chunks;
	if (pages < expect->pages && pages % CHUNK && chunk[pages / CHUNK])
		memset(chunk[pages / CHUNK] + pages % CHUNK, SET(STATE_HOLE),
		       CHUNK - pages % CHUNK);
	expect->pages = pages;
}

void expect_set(struct expect *expect, uint64_t first, uint64_t count, unsigned set)
{
	uint64_t page;

	for (page = first; page < first + count && page < expect->pages; page++) {
		uint8_t **chunk = &expect->chunk[page / CHUNK];

		if (!*chunk) {
			*chunk = malloc(CHUNK);
			if (!*chunk)
				die("out of memory");
			memset(*chunk, SET(STATE_HOLE), CHUNK);
		}
		(*chunk)[page % CHUNK] = set;
	}
}

unsigned expect_get(const struct expect *expect, uint64_t page)
{
	const uint8_t *chunk = page < expect->pages ? expect->chunk[page / CHUNK] : NULL;

	return chunk ? chunk[page % CHUNK] : SET(STATE_HOLE);
}

uint64_t expect_next(const struct expect *expect, uint64_t page)
{
	while (page < expect->pages && !expect->chunk[page / CHUNK])
		page = (page / CHUNK + 1) * CHUNK;
	return page < expect->pages ? page : expect->pages;
}

static void set_name(unsigned set, char *ret, size_t size)
{
	size_t used = 0;
	unsigned state;

	ret[0] = '\0';
	for (state = 0; state < STATE_MAX; state++)
		if (set & SET(state))
			used += snprintf(ret + used, size - used, "%s%s", used ? "|" : "",
					 state_names[state]);
}

void expect_write(const struct expect *expect, const char *path)
{
	struct extents extents;
	uint64_t page = 0;
	char name[64];

	extents_open(&extents, path);
	while (page < expect->pages) {
		uint64_t next = expect_next(expect, page);

		if (next > page) {
			extents_add(&extents, page, next - page, "hole");
			page = next;
			continue;
		}
		set_name(expect_get(expect, page), name, sizeof(name));
		extents_add(&extents, page++, 1, name);
	}
	extents_close(&extents);
}

void extents_open(struct extents *extents, const char *path)
{
	memset(extents, 0, sizeof(*extents));
	extents->file = fopen(path, "we");
	if (!extents->file)
		die("%s: %s", path, strerror(errno));
	fputs("first,count,state\n", extents->file);
}

static void extents_flush(struct extents *extents)
{
	if (extents->count)
		fprintf(extents->file, "%llu,%llu,%s\n", (unsigned long long)extents->first,
			(unsigned long long)extents->count, extents->name);
	extents->count = 0;
}

void extents_add(struct extents *extents, uint64_t first, uint64_t count, const char *name)
{
	if (extents->count && extents->first + extents->count == first &&
	    !strcmp(extents->name, name)) {
		extents->count += count;
		return;
	}
	extents_flush(extents);
	extents->first = first;
	extents->count = count;
	snprintf(extents->name, sizeof(extents->name), "%s", name);
}

void extents_close(struct extents *extents)
{
	extents_flush(extents);
	if (fclose(extents->file))
		die("extents could not be written: %s", strerror(errno));
	extents->file = NULL;
}
