/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "model/snapshot.h"

/*
 * Writes to stdout one bit a page, 1 if the page is in one of the states. Page first + i of the
 * snapshot is bit i % 8 (counted from the least significant) of byte i / 8; the last byte is filled
 * up with 0. Returns 0, or an exit code after a message.
 */
int bitmap_print(const struct snapshot *s, page_state_mask states);
