/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "discover/maps.h"

int map_line_parse(char *line, struct map_line *ret)
{
	unsigned long long start, end, offset, ino;
	unsigned dev_major, dev_minor;
	char perms[5];
	int n = 0;

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu%n", &start, &end, perms, &offset,
		   &dev_major, &dev_minor, &ino, &n) != 7 ||
	    strlen(perms) != 4 || start >= end)
		return -EINVAL;
	*ret = (struct map_line){
		.start = start,
		.end = end,
		.offset = offset,
		.shared = perms[3] == 's',
		.dev = makedev(dev_major, dev_minor),
		.ino = ino,
		.path = line + n + strspn(line + n, " "),
	};
	return 0;
}

void map_path_unescape(char *path)
{
	static const char escaped[] = "\\012";
	char *from = path, *to = path;

	while (*from) {
		if (strncmp(from, escaped, strlen(escaped)) == 0) {
			*to++ = '\n';
			from += strlen(escaped);
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}
