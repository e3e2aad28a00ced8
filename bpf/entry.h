/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/* A swap entry: its type above its offset. In the page cache it is shifted by one, and bit 0 set.
 */

#define ENTRY_TYPE_SHIFT 58

/*
 * Special types, poison among them, take the numbers from 23 on at most; a swap gets one of those
 * only where the kernel was built without them, and there are more than 23 swaps.
 */
#define ENTRY_TYPE_SPECIAL 23
