/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/*
 * A mapping to ask the kernel through, which nobody ever touches. Nor does khugepaged: in a mapping
 * where large folios are allowed it would make some, and fill the object's holes with them.
 * where may be NULL. Returns NULL and sets errno if there can be none; to be unmapped by the
 * caller.
 */
void *mapping_new(void *where, uint64_t size, int fd, off_t offset);

/*
 * For a program that begins, and whose own memory gains nothing by large folios: nothing that it
 * maps is khugepaged's, not even between the two calls that mapping_new() takes.
 */
void mapping_keep_khugepaged_out(void);
