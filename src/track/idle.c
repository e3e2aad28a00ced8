/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "probe/pagemap.h"
#include "track/idle.h"
#include "util/file.h"
#include "util/util.h"
#include "view/victim.h"

#define BITMAP "/sys/kernel/mm/page_idle/bitmap"
#define FLAGS "/proc/kpageflags"
#define LRU_GEN "/sys/kernel/mm/lru_gen/enabled"

#define PAGEMAP_WORDS 4096

/*
 * A folio begins at a multiple of its size, which is so many frames at most; see idle_heads_find()
 * for those that are larger.
 */
#define FOLIO ((uint64_t)512)
/* Flags that are read at once; some that nobody asks for, rather than begin anew. */
#define FLAG_WORDS (16 * FOLIO)
#define FLAG_GAP 32

/* Frames that are looked at and marked at once: some 10 ms pass in between. */
#define SLICE ((size_t)65536)

/* How long a page is locked, at most, that is on its way into a page table. */
#define LOCKED_NS 10000000

const char *idle_obstacle_to_string(enum idle_obstacle obstacle)
{
	switch (obstacle) {
	case IDLE_NO_OBSTACLE:
		break;
	case IDLE_NO_BITMAP:
		return "this kernel has no idle-page bitmap (CONFIG_IDLE_PAGE_TRACKING)";
	case IDLE_NO_PRIVILEGE:
		return "the idle-page bitmap is for root only (with CAP_SYS_ADMIN)";
	case IDLE_LRU_GEN:
		return "the multi-gen LRU is on (" LRU_GEN
		       "), and hides accesses from the idle-page bitmap";
	case IDLE_DAMON:
		return "DAMON runs, and sets bits of the idle-page bitmap as well";
	}
	return NULL;
}

bool idle_is_offered(void)
{
	return access(BITMAP, F_OK) == 0;
}

/* Bit 0 of what is written in hexadecimal. */
static bool has_lru_gen(void)
{
	_cleanup_free_ char *text = NULL;

	return file_read_at(AT_FDCWD, LRU_GEN, &text) > 0 && (strtoul(text, NULL, 16) & 1);
}

static bool any_says(const char *pattern, const char *word)
{
	glob_t found;
	bool says = false;

	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return false;
	for (size_t i = 0; i < found.gl_pathc && !says; i++) {
		_cleanup_free_ char *text = NULL;

		says = file_read_at(AT_FDCWD, found.gl_pathv[i], &text) > 0 &&
		       strncmp(text, word, strlen(word)) == 0;
	}
	globfree(&found);
	return says;
}

/*
 * The multi-gen LRU clears accessed bits by itself and leaves the idle bit as it is, also where a
 * page is read by read(2). DAMON sets the idle bit of each page that it samples.
 */
enum idle_obstacle idle_find_obstacle(void)
{
	if (!idle_is_offered())
		return IDLE_NO_BITMAP;
	if (faccessat(AT_FDCWD, BITMAP, R_OK | W_OK, AT_EACCESS) < 0 ||
	    faccessat(AT_FDCWD, FLAGS, R_OK, AT_EACCESS) < 0)
		return IDLE_NO_PRIVILEGE;
	if (has_lru_gen())
		return IDLE_LRU_GEN;
	if (any_says("/sys/kernel/mm/damon/admin/kdamonds/*/state", "on") ||
	    any_says("/sys/module/damon_*/parameters/enabled", "Y"))
		return IDLE_DAMON;
	return IDLE_NO_OBSTACLE;
}

int idle_open(struct idle *ret)
{
	_cleanup_close_ int bitmap_fd = open(BITMAP, O_RDWR | O_CLOEXEC);
	int flags_fd;

	if (bitmap_fd < 0)
		return -errno;
	flags_fd = open(FLAGS, O_RDONLY | O_CLOEXEC);
	if (flags_fd < 0)
		return -errno;
	*ret = (struct idle){.bitmap_fd = TAKE_FD(bitmap_fd), .flags_fd = flags_fd};
	return 0;
}

void idle_close(struct idle *t)
{
	closep(&t->bitmap_fd);
	closep(&t->flags_fd);
	*t = IDLE_CLOSED;
}

static int add_words(struct idle_frames *f, uint64_t page, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t frame = words[i] & PAGEMAP_FRAME_MASK;

		if (!pagemap_is_file_page(words[i]))
			continue;
		/* No page of a process is in frame 0: that is what those see who may not know. */
		if (frame == 0)
			return -EPERM;
		if (idle_frames_add(f, page + i, frame) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int collect_mapping(const struct victim *v, const struct victim_mapping *m,
			   struct page_range range, struct idle_frames *f)
{
	uint64_t page = MAX(m->first, range.first), words[PAGEMAP_WORDS];
	uint64_t left = m->first + m->count - MIN(page, m->first + m->count);
	int r = 0;

	left = page - range.first < range.count ? MIN(left, range.count - (page - range.first)) : 0;
	while (r >= 0 && left > 0) {
		size_t n = MIN(left, ARRAY_SIZE(words));

		r = pagemap_read(v->pagemap_fd, m->address + (page - m->first), n, words);
		if (r >= 0)
			r = add_words(f, page, words, n);
		page += n;
		left -= n;
	}
	return r;
}

static int collect_process(const struct idle_target *target, pid_t pid, struct idle_frames *f)
{
	_cleanup_(victim_done) struct victim v = VICTIM_NONE;
	int r = victim_open(pid, &target->id, target->page_size, &v);

	if (r >= 0)
		r = victim_read_mappings(&v);
	for (size_t i = 0; r >= 0 && i < v.n_mappings; i++)
		r = collect_mapping(&v, &v.mappings[i], target->range, f);
	return r;
}

int idle_collect(const struct idle_target *target, struct idle_frames *ret)
{
	struct idle_frames f = {0};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < target->n_pids; i++) {
		r = collect_process(target, target->pids[i], &f);
		/* What it alone has in its page table is not told, then. */
		if (r == -ESRCH || r == -EACCES)
			r = 0;
	}
	if (r < 0) {
		idle_frames_done(&f);
		return r;
	}
	idle_frames_sort_by_page(&f);
	*ret = f;
	return 0;
}

/* Words of a file that is as long as there are frames; behind its end there are none set. */
static int read_words(int fd, uint64_t first, size_t n, uint64_t *words)
{
	size_t got = 0, want = n * sizeof(*words);

	while (got < want) {
		ssize_t bytes = pread(fd, (char *)words + got, want - got,
				      (off_t)(first * sizeof(*words) + got));

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return -errno;
		if (bytes == 0)
			break;
		got += (size_t)bytes;
	}
	memset((char *)words + got, 0, want - got);
	return 0;
}

/* Behind the last frame that the kernel knows there are no bits: those pages are not idle, then. */
static int write_words(int fd, uint64_t first, size_t n, const uint64_t *words)
{
	size_t done = 0, all = n * sizeof(*words);

	while (done < all) {
		ssize_t bytes = pwrite(fd, (const char *)words + done, all - done,
				       (off_t)(first * sizeof(*words) + done));

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes == 0 || (bytes < 0 && errno == ENXIO))
			break;
		if (bytes < 0)
			return -errno;
		done += (size_t)bytes;
	}
	return 0;
}

/* Frames close to each other, from number i on. Returns the number behind them. */
static size_t next_stretch(const struct idle_frames *f, size_t i, uint64_t *ret_first,
			   size_t *ret_n)
{
	uint64_t first = f->items[i].frame, end = first;

	for (; i < f->n_items; i++) {
		uint64_t frame = f->items[i].frame;

		/* There must be room for what is before them. */
		if (frame > end + FLAG_GAP || frame + FOLIO - first >= FLAG_WORDS)
			break;
		end = frame + 1;
	}
	*ret_first = first;
	*ret_n = end - first;
	return i;
}

/* If they begin in the middle of a folio its head is looked for, unless it is known. */
static int read_flags(const struct idle *t, const struct idle_heads *heads, uint64_t *first,
		      size_t *n, uint64_t *flags)
{
	uint64_t before = *first % FOLIO;
	int r = read_words(t->flags_fd, *first, *n, flags);

	if (r < 0 || !(flags[0] & FRAME_COMPOUND_TAIL) || heads->next == *first)
		return r;
	*first -= before;
	*n += before;
	return read_words(t->flags_fd, *first, *n, flags);
}

/* Leaves frames in order, and heads in their place. */
static int find_heads(const struct idle *t, struct idle_frames *f)
{
	struct idle_heads heads = {.head = FRAME_NONE};
	_cleanup_free_ uint64_t *flags = malloc(FLAG_WORDS * sizeof(*flags));
	int r = flags ? 0 : -ENOMEM;

	idle_frames_sort_by_frame(f);
	for (size_t i = 0; r >= 0 && i < f->n_items;) {
		uint64_t first;
		size_t n, next = next_stretch(f, i, &first, &n);

		r = read_flags(t, &heads, &first, &n, flags);
		if (r >= 0)
			idle_heads_find(&heads, flags, first, n, f->items + i, next - i);
		i = next;
	}
	idle_frames_drop_headless(f);
	return r;
}

int idle_mark(const struct idle *t, struct idle_frames *f)
{
	uint64_t words[IDLE_WORDS];
	struct idle_words w;
	size_t at = 0;
	int r = find_heads(t, f);

	while (r >= 0 && idle_words_next(f, &at, &w)) {
		idle_words_fill(&w, f, words);
		r = write_words(t->bitmap_fd, w.first, w.n, words);
	}
	return r;
}

static int keep_idle(const struct idle *t, struct idle_frames *f)
{
	uint64_t words[IDLE_WORDS];
	struct idle_words w;
	size_t at = 0, n_kept = 0;
	int r = 0;

	while (r >= 0 && idle_words_next(f, &at, &w)) {
		r = read_words(t->bitmap_fd, w.first, w.n, words);
		if (r >= 0)
			n_kept = idle_words_keep(&w, f, n_kept, words);
	}
	f->n_items = n_kept;
	return r;
}

/*
 * The kernel does not look into the page tables for a page that is locked just then, and says that
 * it is idle. So it is asked about these once more.
 */
int idle_keep(const struct idle *t, struct idle_frames *f)
{
	const struct timespec locked = {.tv_nsec = LOCKED_NS};
	int r = find_heads(t, f);

	if (r >= 0)
		r = keep_idle(t, f);
	if (r >= 0 && f->n_items > 0) {
		nanosleep(&locked, NULL);
		r = keep_idle(t, f);
	}
	idle_frames_sort_by_page(f);
	return r;
}

/* Those of the frames from one number to another that are as they were. */
static int mark_again(const struct idle *t, const struct idle_target *target,
		      const struct idle_frames *all, size_t from, size_t to)
{
	const struct idle_frames slice = {.items = all->items + from, .n_items = to - from};
	_cleanup_(idle_frames_done) struct idle_frames now = {0};
	struct idle_target part = *target;
	int r;

	part.range.first = slice.items[0].page;
	part.range.count = slice.items[slice.n_items - 1].page + 1 - part.range.first;
	r = idle_collect(&part, &now);
	if (r < 0)
		return r;
	idle_frames_keep_same(&now, &slice);
	return idle_mark(t, &now);
}

/*
 * A page may move, and another object's come to where it was, at any time. So before its bit is set
 * each is looked for once more, some at a time, that this be as short before as can be. If a frame
 * gets another page in that moment, that is marked: which costs it nothing, and tells others who
 * use the bitmap something wrong.
 */
int idle_begin(const struct idle *t, const struct idle_target *target, struct idle_frames *ret)
{
	struct idle_frames all = {0};
	int r;

	/* What waits in a batch is on no list of the LRU, and the bitmap leaves it alone. */
	victim_drain_batches();
	r = idle_collect(target, &all);
	for (size_t i = 0; r >= 0 && i < all.n_items; i += SLICE)
		r = mark_again(t, target, &all, i, MIN(i + SLICE, all.n_items));
	if (r < 0) {
		idle_frames_done(&all);
		return r;
	}
	idle_forget_translations();
	*ret = all;
	return 0;
}

/*
 * A page that has left its frame, and another that has come there, are not idle: the bit is the
 * folio's, and a new one has none.
 */
int idle_end(const struct idle *t, const struct idle_target *target, struct idle_frames *marked,
	     struct page_ranges *ret_watched, struct page_ranges *ret_idle)
{
	_cleanup_(idle_frames_done) struct idle_frames now = {0};
	_cleanup_(page_ranges_done) struct page_ranges watched = {0};
	int r;

	victim_drain_batches();
	r = idle_collect(target, &now);
	if (r < 0)
		return r;
	idle_frames_keep_same(marked, &now);
	r = idle_frames_to_ranges(marked, &watched);
	if (r >= 0)
		r = idle_keep(t, marked);
	if (r >= 0)
		r = idle_frames_to_ranges(marked, ret_idle);
	if (r < 0)
		return r;
	*ret_watched = watched;
	watched = (struct page_ranges){0};
	return 0;
}
