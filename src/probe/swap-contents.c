/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "classify/words.h"
#include "probe/kernel-text.h"
#include "probe/swap-contents.h"
#include "probe/walker-inside.h"
#include "util/file.h"
#include "util/util.h"

/* zswap_trees has MAX_SWAPFILES entries: at least so many. */
#define ZSWAP_TYPES_MIN 23

/* The root of an xarray without marks. */
static bool is_tree(const struct swap_type *t)
{
	bool has_head = t->zswap_head == 0 || is_kernel_address(t->zswap_head);

	return is_kernel_address(t->zswap_tree) && has_head && t->zswap_flags == 0;
}

/*
 * Every swap in use has trees, and a type that was never used has none. (One that swapon or swapoff
 * is busy with may have some or not.)
 */
static bool are_trees(const struct swap_slots *s, const struct swap_type types[SWAP_TYPES])
{
	bool any = false;

	for (unsigned k = 0; k < ZSWAP_TYPES_MIN; k++) {
		bool in_use = s->types[k].address && (s->types[k].flags & SWAP_FLAG_WRITEOK);

		if (in_use && !is_tree(&types[k]))
			return false;
		if (!s->types[k].address && types[k].zswap_tree)
			return false;
		any |= in_use;
	}
	return any;
}

int swap_contents_prepare(struct swap_slots *s)
{
	struct swap_shared *shared = walker_swap(s->walker);
	const struct swap_places *places = &shared->places;
	uint64_t candidates[KERNEL_ARRAYS_MAX];
	size_t n = 0;

	if (!s->swap_info || s->zswap_trees || !places->zswap_is_xarray)
		return 0;
	if (places->zswap_trees)
		candidates[n++] = places->zswap_trees;
	else
		n = kernel_text_arrays(places->zswap_invalidate_text, SWAP_TEXT_BYTES, candidates);
	for (size_t i = 0; i < n && !s->zswap_trees; i++) {
		int r = walker_swap_types(s->walker, s->swap_info, candidates[i]);

		if (r < 0)
			return r;
		if (are_trees(s, shared->types))
			s->zswap_trees = candidates[i];
	}
	/* The programs read what was left there. */
	return swap_slots_refresh(s);
}

int swap_contents_read(struct swap_slots *s, const struct swap_question *q)
{
	const struct swap_shared *shared = walker_swap(s->walker);
	size_t done = 0;

	while (done < q->n_runs) {
		int r = walker_swap_contents(s->walker, done, q->n_runs);

		if (r < 0)
			return r;
		if (shared->n_runs_done <= done)
			return -EOVERFLOW;
		done = shared->n_runs_done;
	}
	return 0;
}

uint8_t swap_contents_of(const struct swap_slots *s, struct swap_answer *a, uint64_t entry)
{
	const struct swap_shared *shared = walker_swap(s->walker);
	const struct swap_run *runs = shared->runs;

	while (!swap_run_has(&runs[a->run], entry))
		a->at += (runs[a->run++].count + 7) / 8 * 8;
	return ((const uint8_t *)shared->units)[a->at + entry_offset(entry) - runs[a->run].offset];
}

int zswap_holds_any(void)
{
	static const char label[] = "\nZswapped:";
	_cleanup_free_ char *text = NULL;
	ssize_t r = file_read_at(AT_FDCWD, "/proc/meminfo", &text);
	const char *line;

	if (r < 0)
		return (int)r;
	line = strstr(text, label);
	/* Where there is no such line, the kernel was built without zswap. */
	return line && strtoull(line + strlen(label), NULL, 10) > 0;
}
