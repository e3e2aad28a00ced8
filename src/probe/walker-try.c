/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "probe/kernel-text.h"
#include "probe/try.h"
#include "probe/walker-inside.h"
#include "probe/walker-try.h"
#include "util/util.h"

/* Others may change an object of ours too: what is short of memory swaps it out. */
#define TRIES 3

/*
 * The pages of the object: w written, a made by fallocate, f written after that, . a hole. Each a
 * has a w beside it, so that it is made alone even where the system makes large folios. The order
 * has no rule, or else the flags of a neighbour might do for those of the page.
 */
static const char near[] = "waawwfw.wafwawww";

/* So far that there are nodes of three levels; the same there. Distinctive numbers, all of them. */
#define FAR 5000
static const char far[] = "wa";
#define PAGES 6007

/* A descriptor beyond the table that a process begins with. */
#define HIGH_FD 300

struct expected {
	uint64_t pages;
	uint64_t near; /* bit k: page k is there */
	uint64_t far;  /* likewise, of the leaf that holds FAR */
	uint64_t near_allocated;
	uint64_t far_allocated;
};

static int allocate_letters(int fd, const char *letters, uint64_t first, uint64_t page_size)
{
	for (uint64_t k = 0; letters[k]; k++)
		if ((letters[k] == 'a' || letters[k] == 'f') &&
		    fallocate(fd, 0, (off_t)((first + k) * page_size), (off_t)page_size) < 0)
			return -errno;
	return 0;
}

static int write_letters(int fd, const char *letters, uint64_t first, uint64_t page_size,
			 char which)
{
	int r = 0;

	for (uint64_t k = 0; letters[k] && r >= 0; k++)
		if (letters[k] == which)
			r = try_object_write(fd, page_size, first + k);
	return r;
}

static int make_object(uint64_t page_size)
{
	_cleanup_close_ int fd = try_object_create(page_size, PAGES, NULL, 0);
	int r = fd;

	if (r >= 0)
		r = write_letters(fd, near, 0, page_size, 'w');
	if (r >= 0)
		r = write_letters(fd, far, FAR, page_size, 'w');
	if (r >= 0)
		r = allocate_letters(fd, near, 0, page_size);
	if (r >= 0)
		r = allocate_letters(fd, far, FAR, page_size);
	if (r >= 0)
		r = write_letters(fd, near, 0, page_size, 'f');
	return r < 0 ? r : TAKE_FD(fd);
}

static void expect(struct expected *ret)
{
	*ret = (struct expected){0};
	for (unsigned k = 0; near[k]; k++) {
		ret->near |= (uint64_t)(near[k] != '.') << k;
		ret->near_allocated |= (uint64_t)(near[k] == 'a') << k;
	}
	for (unsigned k = 0; far[k]; k++) {
		unsigned at = k + FAR % WALK_NODE_PAGES;

		ret->far |= (uint64_t)1 << at;
		ret->far_allocated |= (uint64_t)(far[k] == 'a') << at;
	}
	ret->pages = (uint64_t)(__builtin_popcountll(ret->near) + __builtin_popcountll(ret->far));
}

/* The record has folios at the places of those bits, and nothing else. */
static bool holds(const struct walk_record *r, uint64_t first, uint64_t bits, uint64_t allocated)
{
	for (unsigned k = 0; k < WALK_NODE_PAGES; k++) {
		bool is_folio = is_kernel_address(r->slots[k]) && (r->slots[k] & 3) == 0;

		if (bits >> k & 1 ? !is_folio : r->slots[k] != 0)
			return false;
	}
	return r->first == first && r->shift == 0 && r->not_uptodate == allocated;
}

static bool facts_are(const struct walk_facts *f, uint64_t pages, uint64_t size, uint64_t fallocend)
{
	return is_kernel_address(f->a_ops) && f->size == size && f->nrpages == pages &&
	       f->alloced == pages && f->swapped == 0 && f->fallocend == fallocend && !f->locked;
}

static int read_all(struct walker *w, int fd, struct walker_chunk *ret)
{
	struct walk_args args = {.fd = (uint64_t)fd, .end = PAGES, .records = WALK_RECORDS};
	int r = walker_read_chunk(w, &args, ret);

	/* The descriptor is one, whatever the program found in its place. */
	return r == -EBADF ? -EOPNOTSUPP : r;
}

static int try_object(struct walker *w, uint64_t page_size, uint64_t *ret_a_ops)
{
	uint64_t far_first = FAR / WALK_NODE_PAGES * WALK_NODE_PAGES;
	uint64_t fallocend = FAR + sizeof(far) - 1;
	_cleanup_close_ int fd = make_object(page_size);
	struct walker_chunk c;
	struct expected e;
	int r = fd;

	if (r >= 0)
		r = read_all(w, fd, &c);
	if (r < 0)
		return r;
	expect(&e);
	if (!facts_are(&c.before, e.pages, PAGES * page_size, fallocend) ||
	    !facts_are(&c.after, e.pages, PAGES * page_size, fallocend) || c.n_records != 2 ||
	    c.next < PAGES || !holds(&c.records[0], 0, e.near, e.near_allocated) ||
	    !holds(&c.records[1], far_first, e.far, e.far_allocated))
		return -EOPNOTSUPP;
	*ret_a_ops = c.before.a_ops;
	return 0;
}

/*
 * One page: in the root, in a node of one level, of two. (What has a value by chance, as a node's
 * place in a parent that it does not have, will not have all of them.) By a descriptor with a large
 * number, as far as it may be had.
 */
static int try_page(struct walker *w, uint64_t page, uint64_t page_size, uint64_t a_ops)
{
	_cleanup_close_ int fd = try_object_create(page_size, page + 1, &page, 1);
	_cleanup_close_ int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	uint64_t first = page / WALK_NODE_PAGES * WALK_NODE_PAGES;
	struct walker_chunk c;
	int r = fd;

	if (r >= 0)
		r = read_all(w, high < 0 ? fd : high, &c);
	if (r < 0)
		return r;
	if (!facts_are(&c.before, 1, (page + 1) * page_size, 0) || c.before.a_ops != a_ops ||
	    c.n_records != 1 || !holds(&c.records[0], first, (uint64_t)1 << (page - first), 0))
		return -EOPNOTSUPP;
	return 0;
}

/* What is no shared memory must be known from what is. */
static int try_stranger(struct walker *w, uint64_t a_ops)
{
	_cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC);
	struct walker_chunk c;
	int r = fd < 0 ? -errno : read_all(w, fd, &c);

	if (r < 0)
		return r;
	return c.before.a_ops == a_ops ? -EOPNOTSUPP : 0;
}

int walker_try(struct walker *w, uint64_t *ret_a_ops)
{
	static const uint64_t pages[] = {0, 3, 1000};
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE), a_ops;
	int r = -EOPNOTSUPP;

	for (int i = 0; i < TRIES && r == -EOPNOTSUPP; i++) {
		r = try_object(w, page_size, &a_ops);
		for (size_t k = 0; k < ARRAY_SIZE(pages) && r >= 0; k++)
			r = try_page(w, pages[k], page_size, a_ops);
		if (r >= 0)
			r = try_stranger(w, a_ops);
	}
	if (r >= 0)
		*ret_a_ops = a_ops;
	return r;
}
