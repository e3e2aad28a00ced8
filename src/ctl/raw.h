/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"
#include "ctl/source.h"

/*
 * 64-bit words in the layout of /proc/PID/pagemap, in the machine's byte order.
 *
 * To stdout: with --range, those of every page of the range, mapped or not; else those of all
 * shared memory mappings, one after the other, in the order of the table. To a file (--write): each
 * word where /proc/PID/pagemap has it, at 8 times the page number, so that the file takes its
 * place. *ret_answered: that much went well that there is an answer to report about. Returns 0, or
 * an exit code after a message.
 */
int raw_print(struct source *s, const struct options *o, struct page_range range,
	      bool *ret_answered);
