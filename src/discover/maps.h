/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines of /proc/PID/maps. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct map_line {
	uint64_t start; /* bytes */
	uint64_t end;
	uint64_t offset; /* bytes, in the object */
	bool shared;
	dev_t dev;
	ino_t ino;
	char *path; /* points into the line; "" if there is none; newlines still escaped as \012 */
};

/* Takes the line apart in place. Returns 0 or -EINVAL. */
int map_line_parse(char *line, struct map_line *ret);

/* Turns \012 back into a newline, in place. */
void map_path_unescape(char *path);
