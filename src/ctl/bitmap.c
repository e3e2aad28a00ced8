/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <unistd.h>

#include "ctl/bitmap.h"
#include "ctl/ctl.h"

/* A byte under way: bits [0, n) of byte are set right. */
struct bit_writer {
	unsigned char byte;
	unsigned n;
};

static void write_bits(struct bit_writer *w, uint64_t count, bool value)
{
	for (; count > 0 && w->n > 0; count--) {
		w->byte |= (unsigned char)(value << w->n);
		w->n = (w->n + 1) % 8;
		if (w->n == 0) {
			putchar_unlocked(w->byte);
			w->byte = 0;
		}
	}
	for (; count >= 8; count -= 8)
		putchar_unlocked(value ? 0xff : 0);
	for (; count > 0; count--)
		w->byte |= (unsigned char)(value << w->n++);
}

int bitmap_print(const struct snapshot *s, page_state_mask states)
{
	struct state_cursor cursor = state_map_seek(&s->map, s->first);
	struct bit_writer w = {0};
	struct extent e;

	if (isatty(STDOUT_FILENO))
		return failed("--format=bitmap writes binary data: send it to a file or a pipe");
	while (state_cursor_next(&cursor, &e))
		write_bits(&w, e.count, states & PAGE_STATE_BIT(e.state));
	if (w.n > 0)
		putchar_unlocked(w.byte);
	return 0;
}
