/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "serve/json-text.h"

/* What has not been looked at yet. */
struct rest {
	const unsigned char *at, *end;
};

static bool take_value(struct rest *r, unsigned depth);

static bool take(struct rest *r, unsigned char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static void skip_space(struct rest *r)
{
	while (r->at < r->end &&
	       (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool take_word(struct rest *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

/* How many digits there are. */
static size_t take_digits(struct rest *r)
{
	const unsigned char *start = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return (size_t)(r->at - start);
}

static bool take_number(struct rest *r)
{
	take(r, '-');
	if (!take(r, '0') && take_digits(r) == 0)
		return false;
	if (take(r, '.') && take_digits(r) == 0)
		return false;
	if (!take(r, 'e') && !take(r, 'E'))
		return true;
	if (!take(r, '+'))
		take(r, '-');
	return take_digits(r) > 0;
}

static bool take_escape(struct rest *r)
{
	if (r->at == r->end)
		return false;
	if (*r->at != 'u')
		return *r->at != '\0' && strchr("\"\\/bfnrt", *r->at++) != NULL;
	r->at++;
	for (int i = 0; i < 4; i++, r->at++)
		if (r->at == r->end || *r->at == '\0' || !strchr("0123456789abcdefABCDEF", *r->at))
			return false;
	return true;
}

/* Behind the first byte of a character: none that is longer than it must be, no surrogate. */
static bool take_tail(struct rest *r, unsigned char first)
{
	unsigned n = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
	unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	if (first < 0xc2 || first > 0xf4)
		return false;
	for (; n > 0; n--, r->at++) {
		if (r->at == r->end || *r->at < least || *r->at > most)
			return false;
		least = 0x80;
		most = 0xbf;
	}
	return true;
}

static bool take_string(struct rest *r)
{
	if (!take(r, '"'))
		return false;
	while (r->at < r->end) {
		unsigned char c = *r->at++;

		if (c == '"')
			return true;
		if (c < 0x20 || (c == '\\' && !take_escape(r)) || (c >= 0x80 && !take_tail(r, c)))
			return false;
	}
	return false;
}

static bool take_member(struct rest *r, unsigned depth)
{
	skip_space(r);
	if (!take_string(r))
		return false;
	skip_space(r);
	return take(r, ':') && take_value(r, depth);
}

/* The rest of an object or an array. */
static bool take_list(struct rest *r, unsigned char end, unsigned depth)
{
	bool (*const take_item)(struct rest *, unsigned) = end == '}' ? take_member : take_value;

	if (depth == 0)
		return false;
	skip_space(r);
	if (take(r, end))
		return true;
	do {
		if (!take_item(r, depth - 1))
			return false;
	} while (take(r, ','));
	return take(r, end);
}

/* With the white space around it. */
static bool take_value(struct rest *r, unsigned depth)
{
	bool good;

	skip_space(r);
	if (take(r, '{'))
		good = take_list(r, '}', depth);
	else if (take(r, '['))
		good = take_list(r, ']', depth);
	else if (r->at < r->end && *r->at == '"')
		good = take_string(r);
	else
		good = take_word(r, "true") || take_word(r, "false") || take_word(r, "null") ||
		       take_number(r);
	skip_space(r);
	return good;
}

bool json_text_is_valid(const char *text, size_t length, unsigned depth_max)
{
	const unsigned char *start = (const unsigned char *)text;
	struct rest r = {start, start + length};

	return take_value(&r, depth_max) && r.at == r.end;
}
