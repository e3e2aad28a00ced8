/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "util/parse.h"
#include "util/util.h"

int parse_u64(const char *s, int base, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	/* strtoull() takes blanks and signs; a page number has neither. */
	if (!isxdigit((unsigned char)s[0]) || (base <= 10 && !isdigit((unsigned char)s[0])))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, base);
	if (*end != '\0')
		return -EINVAL;
	if (errno != 0)
		return -errno;
	*ret = v;
	return 0;
}

int parse_int(const char *s, int min, int *ret)
{
	uint64_t v;
	int r = parse_u64(s, 10, &v);

	if (r < 0)
		return r;
	if (v > INT_MAX)
		return -ERANGE;
	if ((int)v < min)
		return -EINVAL;
	*ret = (int)v;
	return 0;
}

static int suffix_shift(char c)
{
	static const char suffixes[] = "KMGT";
	const char *p = c ? strchr(suffixes, toupper((unsigned char)c)) : NULL;

	return p ? 10 * (int)(p - suffixes + 1) : -1;
}

/* A number of pages, or of bytes if it has a suffix; *ret_bytes says which it was. */
static int parse_amount(const char *s, uint64_t *ret, bool *ret_bytes)
{
	_cleanup_free_ char *digits = strdup(s);
	size_t n = strlen(s);
	int shift, r;
	uint64_t v;

	if (!digits)
		return -ENOMEM;
	shift = n > 0 ? suffix_shift(s[n - 1]) : -1;
	if (shift > 0)
		digits[n - 1] = '\0';
	r = parse_u64(digits, 10, &v);
	if (r < 0)
		return r;
	if (shift > 0 && v > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = shift > 0 ? v << shift : v;
	*ret_bytes = shift > 0;
	return 0;
}

int parse_bytes(const char *s, uint64_t *ret)
{
	bool bytes;

	return parse_amount(s, ret, &bytes);
}

int parse_time(const char *s, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{"ms", 1}, {"s", 1000}, {"", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
	};
	size_t n = strspn(s, "0123456789");
	_cleanup_free_ char *digits = strndup(s, n);
	uint64_t v;

	if (!digits || parse_u64(digits, 10, &v) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(s + n, units[i].name) == 0) {
			if (__builtin_mul_overflow(v, units[i].ms, &v))
				return -EINVAL;
			*ret_ms = v;
			return 0;
		}
	return -EINVAL;
}

static int parse_length(const char *s, uint64_t page_size, uint64_t *ret_pages)
{
	uint64_t v;
	bool bytes;
	int r = parse_amount(s, &v, &bytes);

	if (r < 0)
		return r;
	if (bytes)
		v = v / page_size + (v % page_size != 0);
	if (v == 0)
		return -EINVAL;
	*ret_pages = v;
	return 0;
}

static int parse_page(const char *s, uint64_t page_size, uint64_t *ret)
{
	uint64_t v;
	bool bytes;
	int r = parse_amount(s, &v, &bytes);

	if (r < 0)
		return r;
	*ret = bytes ? v / page_size : v;
	return 0;
}

/* Splits a copy of s at the first '+' or '-'. The caller frees *ret. */
static int split_range(const char *s, char **ret, char **ret_second, char *ret_sign)
{
	char *copy = strdup(s);
	size_t at;

	if (!copy)
		return -ENOMEM;
	at = strcspn(copy, "+-");
	if (copy[at] == '\0') {
		free(copy);
		return -EINVAL;
	}
	*ret_sign = copy[at];
	copy[at] = '\0';
	*ret = copy;
	*ret_second = copy + at + 1;
	return 0;
}

static int range_finish(uint64_t first, uint64_t count, struct page_range *ret)
{
	if (count > UINT64_MAX - first)
		return -ERANGE;
	ret->first = first;
	ret->count = count;
	return 0;
}

int parse_page_range(const char *s, uint64_t page_size, struct page_range *ret)
{
	_cleanup_free_ char *head = NULL;
	uint64_t first, second;
	char *tail, sign;
	int r;

	r = split_range(s, &head, &tail, &sign);
	if (r < 0)
		return r;
	r = parse_page(head, page_size, &first);
	if (r < 0)
		return r;
	if (sign == '+') {
		r = parse_length(tail, page_size, &second);
		return r < 0 ? r : range_finish(first, second, ret);
	}
	r = parse_page(tail, page_size, &second);
	if (r < 0)
		return r;
	if (second < first)
		return -EINVAL;
	if (second - first == UINT64_MAX)
		return -ERANGE;
	return range_finish(first, second - first + 1, ret);
}

int parse_address_range(const char *s, uint64_t page_size, struct page_range *ret)
{
	_cleanup_free_ char *head = NULL;
	uint64_t start, end, count;
	char *tail, sign;
	int r;

	r = split_range(s, &head, &tail, &sign);
	if (r < 0)
		return r;
	r = parse_u64(head, 16, &start);
	if (r < 0)
		return r;
	if (start % page_size != 0)
		return -EINVAL;
	if (sign == '+') {
		r = parse_length(tail, page_size, &count);
		return r < 0 ? r : range_finish(start / page_size, count, ret);
	}
	r = parse_u64(tail, 16, &end);
	if (r < 0)
		return r;
	if (end % page_size != 0 || end <= start)
		return -EINVAL;
	return range_finish(start / page_size, (end - start) / page_size, ret);
}
