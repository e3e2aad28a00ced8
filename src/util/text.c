/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

/* Length of the UTF-8 sequence at s if it is well-formed and printable, else 0. */
static size_t utf8_length(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		size_t length;
		uint32_t least;
	} forms[] = {{0x80, 0x00, 1, 0x20},
		     {0xe0, 0xc0, 2, 0xa0},
		     {0xf0, 0xe0, 3, 0x800},
		     {0xf8, 0xf0, 4, 0x10000}};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint32_t c = s[0] & (unsigned char)~forms[i].mask;

		if ((s[0] & forms[i].mask) != forms[i].lead)
			continue;
		for (size_t k = 1; k < forms[i].length; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[k] & 0x3f);
		}
		if (c < forms[i].least || c == 0x7f || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return 0;
		return forms[i].length;
	}
	return 0;
}

char *text_escape(const char *s)
{
	char *escaped = malloc(4 * strlen(s) + 1), *to = escaped;

	if (!escaped)
		return NULL;
	while (*s) {
		/* The backslash too, or a name could look as if it had been escaped. */
		size_t n = *s == '\\' ? 0 : utf8_length((const unsigned char *)s);

		if (n > 0) {
			to = mempcpy(to, s, n);
			s += n;
		} else {
			to += sprintf(to, "\\x%02x", (unsigned char)*s++);
		}
	}
	*to = '\0';
	return escaped;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *text_unescape(const char *s)
{
	char *raw = malloc(strlen(s) + 1), *to = raw;

	if (!raw)
		return NULL;
	while (*s) {
		int high = s[0] == '\\' && s[1] == 'x' ? hex_digit(s[2]) : -1;
		int low = high >= 0 ? hex_digit(s[3]) : -1;

		/* A string has no NUL. */
		if (low >= 0 && high + low > 0) {
			*to++ = (char)(high << 4 | low);
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
	return raw;
}

const char *text_size(uint64_t bytes, bool exact, char *buf)
{
	static const char units[] = "BKMGTPE";
	unsigned unit = 0;
	uint64_t whole = bytes;

	while (whole >= 1024 && unit < sizeof(units) - 2) {
		whole >>= 10;
		unit++;
	}
	if (exact) {
		snprintf(buf, TEXT_SIZE_MAX, "%llu", (unsigned long long)bytes);
	} else if (unit == 0) {
		snprintf(buf, TEXT_SIZE_MAX, "%llu%s", (unsigned long long)bytes, bytes ? "B" : "");
	} else {
		uint64_t tenths = (bytes >> (10 * (unit - 1))) % 1024 * 10 / 1024;

		if (tenths == 0 || whole >= 100)
			snprintf(buf, TEXT_SIZE_MAX, "%llu%c", (unsigned long long)whole,
				 units[unit]);
		else
			snprintf(buf, TEXT_SIZE_MAX, "%llu.%llu%c", (unsigned long long)whole,
				 (unsigned long long)tenths, units[unit]);
	}
	return buf;
}

const char *text_error(int error)
{
	switch (error) {
	case -EACCES:
		return "permission denied";
	case -EPERM:
		return "permission denied: to this user the kernel would call every page resident "
		       "(it takes write permission on the object, or CAP_FOWNER)";
	case -ENOENT:
		return "it has gone";
	case -ESRCH:
		return "no such process";
	case -EAGAIN:
		return "a process has a write lease on it, which opening it would break";
	case -EBUSY:
		return "nobody has it attached, and attaching it would remove it "
		       "(kernel.shm_rmid_forced)";
	case -EUSERS:
		return "paths that were looked at before lead to a file system that does not "
		       "answer";
	case -EOPNOTSUPP:
		return "memory of this kind is never swapped and has no page states";
	}
	return strerror(-error);
}

const char *text_walker_error(int error)
{
#ifndef HAVE_BPF
	if (error == -EOPNOTSUPP)
		return "this program was built without BPF (--disable-bpf)";
#endif
	switch (error) {
	case -EACCES:
	case -EPERM:
		return "loading BPF needs root, or CAP_BPF and CAP_PERFMON";
	case -ENOENT:
	case -ESRCH:
		return "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)";
	case -EOPNOTSUPP:
		return "this kernel's page cache is not as the walk knows it";
	}
	return strerror(-error);
}

int text_unescape_strictly(const char *s, char *to)
{
	for (; *s; s++) {
		int high, low;

		if (*s != '\\') {
			*to++ = *s;
			continue;
		}
		if (s[1] != 'x' || (high = hex_digit(s[2])) < 0 || (low = hex_digit(s[3])) < 0 ||
		    (high == 0 && low == 0))
			return -EINVAL;
		*to++ = (char)(high << 4 | low);
		s += 3;
	}
	*to = '\0';
	return 0;
}
