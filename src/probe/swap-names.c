/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "probe/swap-names.h"
#include "util/file.h"
#include "util/util.h"

/* A device number as the kernel keeps it for itself. */
static dev_t kernel_dev(uint32_t dev)
{
	return makedev(dev >> 20, dev & 0xfffff);
}

bool swap_type_is(const struct swap_type *type, const struct stat *st)
{
	if ((type->mode & S_IFMT) != (st->st_mode & S_IFMT))
		return false;
	if (S_ISBLK(st->st_mode))
		return st->st_rdev == kernel_dev(type->rdev);
	return st->st_dev == kernel_dev(type->dev) && st->st_ino == type->inode;
}

static bool is_octal(const char *s)
{
	return s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
	       s[3] >= '0' && s[3] <= '7';
}

char *swap_line_path(const char *line)
{
	size_t len = strcspn(line, " \t\n");
	char *path = len > 0 && line[0] == '/' ? strndup(line, len) : NULL;
	char *to = path;

	for (const char *from = path; path && *from; from++) {
		if (is_octal(from)) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	if (path)
		*to = '\0';
	return path;
}

char *swap_type_name(const struct swap_type *type)
{
	_cleanup_free_ char *text = NULL;
	dev_t dev = kernel_dev(type->rdev);
	char *name, *path;
	char file[64];

	if (!S_ISBLK(type->mode))
		return NULL;
	snprintf(file, sizeof(file), "/sys/dev/block/%u:%u/uevent", major(dev), minor(dev));
	if (file_read_at(AT_FDCWD, file, &text) < 0)
		return NULL;
	name = strstr(text, "DEVNAME=");
	if (!name)
		return NULL;
	name += strlen("DEVNAME=");
	name[strcspn(name, "\n")] = '\0';
	return asprintf(&path, "/dev/%s", name) < 0 ? NULL : path;
}

/* Gives the path to the swap that it leads to. */
static void match_path(char **path, const struct swap_type *types, struct slot_swap *swaps)
{
	struct stat st;

	if (stat(*path, &st) < 0)
		return;
	for (unsigned k = 0; k < SWAP_TYPES; k++) {
		if (swaps[k].in_use && !swaps[k].path && swap_type_is(&types[k], &st)) {
			swaps[k].path = TAKE_PTR(*path);
			return;
		}
	}
}

void swap_names_match(const char *text, const struct swap_type *types, struct slot_swap *ret_swaps)
{
	for (unsigned k = 0; k < SWAP_TYPES; k++)
		ret_swaps[k] = (struct slot_swap){
			.in_use = types[k].address && (types[k].flags & SWAP_FLAG_USED),
			.is_file = S_ISREG(types[k].mode),
		};
	while (text && *text) {
		_cleanup_free_ char *path = swap_line_path(text);

		if (path)
			match_path(&path, types, ret_swaps);
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	for (unsigned k = 0; k < SWAP_TYPES; k++)
		if (ret_swaps[k].in_use && !ret_swaps[k].path)
			ret_swaps[k].path = swap_type_name(&types[k]);
}
