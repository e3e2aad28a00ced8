// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Extents out of the formats in which they are printed.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios.h"

static const struct {
	const char *name;
	unsigned set;
} names[] = {
	{"hole", STATE_HOLE},
	{"allocated", STATE_ALLOCATED},
	{"present", STATE_PRESENT},
	{"swap_cache", STATE_SWAP_CACHE},
	{"swapped", STATE_SWAPPED},
	{"poisoned", STATE_POISONED},
	{"in_core", STATE_IN_CORE},
	{"unknown", STATE_UNKNOWN},
	{"private_present", STATE_PRIVATE_PRESENT},
	{"private_swapped", STATE_PRIVATE_SWAPPED},
	/* what the oracles say; a poisoned entry counts for the one, and is gone from the other */
	{"value", STATE_SWAP_CACHE | STATE_SWAPPED | STATE_POISONED},
	{"other", STATE_HOLE | STATE_ALLOCATED | STATE_PRESENT | STATE_POISONED},
	{"incore", STATE_ALLOCATED | STATE_PRESENT | STATE_SWAP_CACHE},
};

static unsigned set_of(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == length && !strncmp(names[i].name, name, length))
			return names[i].set;
	return 0;
}

/* "swap_cache|swapped" */
static unsigned parse_set(const char *text, size_t length)
{
	unsigned set = 0;

	while (length) {
		const char *bar = memchr(text, '|', length);
		size_t part = bar ? (size_t)(bar - text) : length;
		unsigned one = set_of(text, part);

		if (!one)
			return 0;
		set |= one;
		text += part + !!bar;
		length -= part + !!bar;
	}
	return set;
}

void set_to_string(unsigned set, char *ret, size_t size)
{
	size_t i, used = 0;

	ret[0] = '\0';
	for (i = 0; i < STATE_COUNT; i++)
		if (set & names[i].set)
			used += snprintf(ret + used, size - used, "%s%s", used ? "|" : "",
					 names[i].name);
}

void extents_add(struct extents *extents, uint64_t first, uint64_t count, unsigned set)
{
	if (extents->count == extents->room) {
		extents->room = extents->room ? extents->room * 2 : 256;
		extents->item = realloc(extents->item, extents->room * sizeof(*extents->item));
		if (!extents->item)
			abort();
	}
	extents->item[extents->count++] = (struct extent){first, count, set};
}

void extents_free(struct extents *extents)
{
	free(extents->item);
	memset(extents, 0, sizeof(*extents));
}

uint64_t extents_sum(const struct extents *extents)
{
	return extents_pages(extents, ~0u);
}

uint64_t extents_pages(const struct extents *extents, unsigned set)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < extents->count; i++)
		if (extents->item[i].set & set)
			sum += extents->item[i].count;
	return sum;
}

/* The field of this number in a line that ends at end. */
static const char *csv_field(const char *line, const char *end, int number, size_t *ret_length)
{
	const char *comma;

	for (;;) {
		comma = memchr(line, ',', end - line);
		if (!number--)
			break;
		if (!comma)
			return NULL;
		line = comma + 1;
	}
	*ret_length = (comma ? comma : end) - line;
	return line;
}

static int find_column(const char *line, const char *end, const char *name)
{
	const char *at;
	size_t length;
	int number;

	for (number = 0; (at = csv_field(line, end, number, &length)); number++)
		if (length == strlen(name) && !strncmp(at, name, length))
			return number;
	return -1;
}

const char *parse_csv_columns(const char *text, const char *const columns[3], int base,
			      struct extents *ret)
{
	const char *line = text, *end = strchr(text, '\n');
	int at[3], i;

	if (!end)
		return "no header";
	for (i = 0; i < 3; i++) {
		at[i] = find_column(line, end, columns[i]);
		if (at[i] < 0)
			return "a column is missing in the header";
	}
	for (line = end + 1; *line; line = end + 1) {
		const char *part[3];
		size_t length[3];
		unsigned set;

		end = strchr(line, '\n');
		if (!end)
			return "the last line is cut off";
		for (i = 0; i < 3; i++) {
			part[i] = csv_field(line, end, at[i], &length[i]);
			if (!part[i])
				return "a line has too few columns";
		}
		set = parse_set(part[2], length[2]);
		if (!set || !isxdigit((unsigned char)*part[0]) || !isdigit((unsigned char)*part[1]))
			return "a line is no extent";
		extents_add(ret, strtoull(part[0], NULL, base), strtoull(part[1], NULL, 10), set);
	}
	return NULL;
}

const char *parse_csv(const char *text, struct extents *ret)
{
	static const char *const columns[] = {"first", "count", "state"};

	return parse_csv_columns(text, columns, 10, ret);
}

static const char *json_value(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return at + strspn(at, " \t\n:");
}

/* Not a parser of JSON: takes the members of the objects in "extents" in the order of the text. */
const char *parse_json(const char *text, struct extents *ret)
{
	const char *at = strstr(text, "\"extents\"");

	if (!at)
		return "no \"extents\"";
	while ((at = json_value(at, "\"first\""))) {
		const char *count = json_value(at, "\"count\"");
		const char *state = count ? json_value(count, "\"state\"") : NULL;
		const char *quote = state && *state == '"' ? strchr(state + 1, '"') : NULL;
		unsigned set = quote ? parse_set(state + 1, quote - state - 1) : 0;

		if (!set)
			return "an extent without count or state";
		extents_add(ret, strtoull(at, NULL, 10), strtoull(count, NULL, 10), set);
		at = quote;
	}
	return NULL;
}

/* A bit that is set means one of the states in set, one that is not any other. */
const char *parse_bitmap(const char *text, size_t size, uint64_t pages, unsigned set,
			 struct extents *ret)
{
	const unsigned all = STATE_HOLE | STATE_ALLOCATED | STATE_PRESENT | STATE_SWAP_CACHE |
			     STATE_SWAPPED | STATE_POISONED | STATE_IN_CORE | STATE_UNKNOWN;
	const uint8_t *byte = (const uint8_t *)text;
	uint64_t page, end;

	if (size != (pages + 7) / 8)
		return "the bitmap has a wrong size";
	if (pages % 8 && byte[size - 1] >> pages % 8)
		return "bits beyond the end are set";
	for (page = 0; page < pages; page = end) {
		unsigned bit = byte[page / 8] >> page % 8 & 1;

		for (end = page + 1; end < pages; end++) {
			if (!(end % 8) && end + 8 <= pages && byte[end / 8] == (bit ? 0xff : 0))
				end += 7;
			else if ((byte[end / 8] >> end % 8 & 1) != bit)
				break;
		}
		extents_add(ret, page, end - page, bit ? set : all & ~set);
	}
	return NULL;
}
