/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "json/encode.h"
#include "model/delta.h"
#include "serve/answer-inside.h"
#include "serve/delta-file.h"
#include "serve/map-file.h"
#include "util/util.h"

/* {"first":...,"count":...,"state":"swap_cache"} and a comma, with numbers of 19 digits. */
#define EXTENT_BYTES 88
/* The same with "from" and "to". */
#define CHANGE_BYTES 104

size_t answer_room(const struct answer *a, size_t item_bytes)
{
	return MAX((a->message_bytes - ANSWER_HEAD_BYTES / 2) / item_bytes, (size_t)1);
}

struct json_object *answer_summary(struct answer *a)
{
	const struct result *r = a->result;
	struct json_object *j = json_object_new_object();
	char id[OBJECT_ID_MAX];

	object_id_format(&r->object->id, r->object->has_twin, id);
	json_object_object_add(j, "object", json_object_new_string(id));
	json_object_object_add(j, "pageSize", json_number(r->snapshot.page_size));
	json_add_snapshot(j, &r->snapshot, a->question->states);
	json_object_object_add(
		j, "settled",
		a->question->settle > 0 ? json_object_new_boolean(r->snapshot.settled) : NULL);
	return j;
}

static uint64_t end_of(const struct snapshot *s)
{
	return s->first + s->count;
}

/* Extents that were asked for, from a->page on. */
static struct json_object *make_extents(struct answer *a)
{
	const struct snapshot *s = &a->result->snapshot;
	struct state_cursor cursor = state_map_seek(&s->map, a->page);
	struct json_object *array = json_object_new_array();
	size_t room = answer_room(a, EXTENT_BYTES);
	struct extent e;

	while (room > 0 && state_cursor_next(&cursor, &e)) {
		struct json_object *j;

		a->page = e.first + e.count;
		if (!(a->question->states & PAGE_STATE_BIT(e.state)))
			continue;
		j = json_object_new_object();
		json_object_object_add(j, "first", json_number(e.first));
		json_object_object_add(j, "count", json_number(e.count));
		json_object_object_add(j, "state",
				       json_object_new_string(page_state_to_string(e.state)));
		json_object_array_add(array, j);
		room--;
	}
	if (room > 0)
		a->page = end_of(s);
	return array;
}

static struct json_object *state_or_null(int state)
{
	if (state == CHANGE_BEYOND)
		return NULL;
	return json_object_new_string(page_state_to_string((enum page_state)state));
}

static struct json_object *json_of_change(const struct change *c)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "first", json_number(c->first));
	json_object_object_add(j, "count", json_number(c->count));
	json_object_object_add(j, "from", state_or_null(c->from));
	json_object_object_add(j, "to", state_or_null(c->to));
	return j;
}

/* Changes that were asked for, from a->page on. */
static struct json_object *make_changes(struct answer *a, bool *ret_goes_on)
{
	struct delta d = delta_since(a->since, &a->result->snapshot, a->question->range, a->page);
	struct json_object *array = json_object_new_array();
	size_t room = answer_room(a, CHANGE_BYTES);
	struct change c;

	*ret_goes_on = false;
	while (delta_next(&d, &c)) {
		if (!change_concerns(&c, a->question->states))
			continue;
		*ret_goes_on = room == 0;
		if (room == 0)
			break;
		json_object_array_add(array, json_of_change(&c));
		a->page = c.first + c.count;
		room--;
	}
	return array;
}

static void set_bits(unsigned char *bits, uint64_t from, uint64_t count)
{
	for (; count > 0 && from % 8 != 0; count--, from++)
		bits[from / 8] |= (unsigned char)(1 << from % 8);
	memset(bits + from / 8, 0xff, count / 8);
	from += count / 8 * 8;
	for (count %= 8; count > 0; count--, from++)
		bits[from / 8] |= (unsigned char)(1 << from % 8);
}

static struct json_object *to_base64(const unsigned char *bytes, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	_cleanup_free_ char *text = malloc(n / 3 * 4 + 8);
	char *to = text;

	if (!text)
		return NULL;
	for (; n > 0; bytes += 3, n -= MIN(n, (size_t)3)) {
		unsigned word = (unsigned)bytes[0] << 16 | (unsigned)(n > 1 ? bytes[1] : 0) << 8 |
				(unsigned)(n > 2 ? bytes[2] : 0);

		*to++ = digits[word >> 18];
		*to++ = digits[word >> 12 & 63];
		*to++ = n > 1 ? digits[word >> 6 & 63] : '=';
		*to++ = n > 2 ? digits[word & 63] : '=';
	}
	return json_object_new_string_len(text, (int)(to - text));
}

/* A bit for each page from a->page on. */
static struct json_object *make_bitmap(struct answer *a)
{
	const struct snapshot *s = &a->result->snapshot;
	uint64_t pages = MIN(answer_room(a, 1) / 4 * 3 * 8, end_of(s) - a->page);
	struct state_cursor cursor = state_map_seek(&s->map, a->page);
	_cleanup_free_ unsigned char *bits = calloc(pages / 8 + 3, 1);
	uint64_t first = a->page;
	struct extent e;

	if (!bits)
		return NULL;
	a->page = first + pages;
	while (cursor.at < a->page && state_cursor_next(&cursor, &e))
		if (a->question->states & PAGE_STATE_BIT(e.state))
			set_bits(bits, e.first - first, MIN(e.count, a->page - e.first));
	return to_base64(bits, (pages + 7) / 8);
}

struct json_object *answer_pages(struct answer *a, bool *ret_goes_on)
{
	struct json_object *array;

	if (a->since)
		return make_changes(a, ret_goes_on);
	array = make_extents(a);
	*ret_goes_on = a->page < end_of(&a->result->snapshot);
	return array;
}

static int make_file(struct answer *a)
{
	const struct question *q = a->question;

	a->page = end_of(&a->result->snapshot);
	return a->result->since ? delta_file_make(a->result, q->range, q->states)
				: map_file_make(a->result, q->states);
}

/* What goes from `first` on, in one of the four fields. */
struct pages_draft {
	struct json_object *changes;
	struct json_object *extents;
	struct json_object *bitmap;
};

static void make_pages(struct answer *a, struct reply_draft *draft, struct pages_draft *pages)
{
	switch (a->question->encoding) {
	case ENCODING_EXTENTS:
		*(a->since ? &pages->changes : &pages->extents) = answer_pages(a, &draft->goes_on);
		return;
	case ENCODING_BITMAP:
		pages->bitmap = make_bitmap(a);
		draft->error = pages->bitmap ? 0 : -ENOMEM;
		break;
	case ENCODING_FILE_DESCRIPTOR:
		draft->fd = make_file(a);
		draft->error = MIN(draft->fd, 0);
		break;
	}
	draft->goes_on = a->page < end_of(&a->result->snapshot);
}

struct json_object *answer_states(struct answer *a, struct reply_draft *draft)
{
	struct json_object *j = answer_summary(a);
	const struct generation *since = a->result->since;
	struct pages_draft pages = {0};
	uint64_t first;

	/* Of an object that is shorter now the range may begin behind its end. */
	if (!a->begun)
		a->page = since ? MAX(a->question->range.first, a->result->snapshot.first)
				: a->result->snapshot.first;
	first = a->page;
	make_pages(a, draft, &pages);
	json_object_object_add(j, "first", json_number(first));
	json_object_object_add(j, "next", draft->goes_on ? json_number(a->page) : NULL);
	json_object_object_add(j, "since", since ? json_number(since->number) : NULL);
	json_object_object_add(j, "changes", pages.changes);
	json_object_object_add(j, "extents", pages.extents);
	json_object_object_add(j, "bitmap", pages.bitmap);
	json_object_object_add(j, "fileDescriptor", draft->fd >= 0 ? json_object_new_int(0) : NULL);
	return j;
}
