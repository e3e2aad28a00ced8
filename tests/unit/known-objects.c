/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "known-objects.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/locate.h"
#include "probe/try.h"

#define KNOWN_MAX 16
#define SWAPS 2
#define ZEROS 7    /* each so many-th of its pages is all zeros */
#define HOLES 3200 /* from there on */
#define SWAPPED_PAGES 3300

struct known {
	int fd;
	char *letters;         /* as objects.h has them, and S, C; NULL: no shared memory */
	struct slot_map slots; /* where its pages lie */
};

struct kcaps known_caps;

static struct known known[KNOWN_MAX];
static size_t n_known;
static char swaps[SWAPS][64];
static int locks[2] = {-1, -1};

static void add(int fd, const char *letters)
{
	assert_true(fd >= 0);
	assert_true(n_known < KNOWN_MAX);
	known[n_known++] = (struct known){.fd = fd, .letters = letters ? strdup(letters) : NULL};
}

static void make_small(void)
{
	static const char *const small[] = {".", "P", "a", ".P", "Pa.", "aP"};
	char letters[9001];
	struct random random = {.state = 41};
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(small); i++)
		add(make(small[i]), small[i]);
	memset(letters, '.', 9000);
	letters[9000] = '\0';
	for (size_t i = 0; i < 9000; i += i == 500 ? 6000 : 1)
		letters[i] = ".aP"[random_below(&random, 3)];
	add(make(letters), letters);
	/* Written after fallocate had made them. */
	letters[70] = '\0';
	memset(letters, 'a', 70);
	fd = make(letters);
	write_page(fd, 3);
	letters[3] = 'P';
	add(fd, letters);
	/* Written by a fault, which leaves other flags. */
	fd = make("aaaa.P");
	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(try_object_write(fd, page_size, i), 0);
	add(fd, "aPPP.P");
	/* One that has a number far from all others. */
	fd = make("aP.P");
	add(fcntl(fd, F_DUPFD_CLOEXEC, 700), "aP.P");
	close(fd);
}

static void make_strangers(void)
{
	add(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), NULL);
	add(open("/proc/self/status", O_RDONLY | O_CLOEXEC), NULL);
	add(eventfd(0, EFD_CLOEXEC), NULL);
}

/* ---- swap ---- */

static void run_tempswap(const char *arguments, char *ret, size_t size)
{
	const char *srcdir = getenv("srcdir");
	char command[512];
	FILE *pipe;

	snprintf(command, sizeof(command), "%s/tools/tempswap %s", srcdir ? srcdir : ".",
		 arguments);
	pipe = popen(command, "r");
	ret[0] = '\0';
	if (pipe && fgets(ret, (int)size, pipe))
		ret[strcspn(ret, "\n")] = '\0';
	if (pipe)
		pclose(pipe);
}

static int take_lock(const char *path, int how)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd >= 0 && flock(fd, how) == 0 ? fd : -1;
}

static bool swaps_begin(void)
{
	const char *root = getenv("TESTS_ROOT");

	if (!root || strcmp(root, "1") != 0 || geteuid() != 0)
		return false;
	locks[0] = take_lock("/run/lock/shmstate-scenarios.lock", LOCK_EX);
	for (int i = 0; i < SWAPS; i++)
		run_tempswap("on zram 64", swaps[i], sizeof(swaps[i]));
	return swaps[SWAPS - 1][0] == '/';
}

static void swaps_end(void)
{
	for (int i = 0; i < SWAPS; i++) {
		char command[96], ignored[64];

		snprintf(command, sizeof(command), "off %s", swaps[i]);
		if (swaps[i][0])
			run_tempswap(command, ignored, sizeof(ignored));
	}
	closep(&locks[0]);
}

static char in_core(const char *map, size_t page)
{
	unsigned char vec;

	assert_int_equal(mincore((void *)(uintptr_t)(map + page * page_size), page_size, &vec), 0);
	return (char)(vec & 1);
}

/*
 * Present, swapped (some of them zeros), in the swap cache, holes. Paging out may take its time;
 * what each page has become is then asked of mincore, which knows it where there are no large
 * folios.
 */
static void make_swapped(void)
{
	size_t size = SWAPPED_PAGES * page_size;
	char letters[SWAPPED_PAGES + 1] = "", *map;
	int fd = new_object(size);

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	madvise(map, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < HOLES; i++)
		memset(map + i * page_size, i % ZEROS ? (int)i | 1 : 0, page_size);
	for (int i = 0; i < 50 && in_core(map, 3000); i++) {
		madvise(map + 64 * page_size, (HOLES - 64) * page_size, MADV_PAGEOUT);
		usleep(1000);
	}
	munmap(map, size);
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	madvise(map + 128 * page_size, 64 * page_size, MADV_WILLNEED);
	madvise(map + 2500 * page_size, 64 * page_size, MADV_WILLNEED);
	usleep(50000);
	for (size_t i = 0; i < SWAPPED_PAGES; i++)
		letters[i] = i >= HOLES ? '.' : i < 64 ? 'P' : in_core(map, i) ? 'C' : 'S';
	munmap(map, size);
	add(fd, letters);
}

/* ---- */

int known_begin(void)
{
	struct prober p;
	bool have_swap;
	int r;

	r = prober_open_to_locate(&p, &caps, PROBE_WALK);
	if (r < 0)
		return r;
	have_swap = swaps_begin();
	locks[1] = take_lock("/run/lock/shmfactory.lock", LOCK_SH);
	make_small();
	make_strangers();
	if (have_swap)
		make_swapped();
	known_caps = caps;
	prober_tell(&p, &known_caps);
	for (size_t i = 0; i < n_known; i++) {
		struct probe_request request = request_of(known[i].fd, &caps);

		if (known[i].letters)
			assert_int_equal(probe_locate(&p, &request, &known[i].slots), 0);
	}
	prober_done(&p);
	return 0;
}

void known_end(void)
{
	for (size_t i = 0; i < n_known; i++) {
		close(known[i].fd);
		free(known[i].letters);
		slot_map_done(&known[i].slots);
	}
	n_known = 0;
	swaps_end();
	closep(&locks[1]);
}

/*
 * Others may be short of memory, and then a page that was present may be in swap by now: that is
 * right, as long as the kernel knows of as many swap entries.
 */
static bool may_be_swapped(char made, char got)
{
	return (made == 'P' || made == 'a') && (got == 'S' || got == 'C');
}

/* Where there is no cachestat, the portable probe knows no more of what is in core. */
static bool is_all_that_is_known(const struct snapshot *s, char made, char got)
{
	return got == 'c' && (made == 'P' || made == 'C') &&
	       (s->sources & SOURCE_PAGE_CACHE) == 0 && !kcaps_has(&caps, KCAP_CACHESTAT);
}

/*
 * Others may also empty the swap cache, or read from it, or swap off what they swapped on: then the
 * page is what the portable probe now says of it, which reads nothing of what the walk reads.
 */
static bool has_moved(struct known *k, uint64_t page, char got)
{
	struct probe_request request = request_of(k->fd, &caps);
	struct snapshot s = {0};
	bool moved;

	request.range = (struct page_range){page, 1};
	if (k->letters[page] == '.' || !strchr("PSC", got) || probe_portable(&request, &s) < 0)
		return false;
	moved = letter_of(state_of(&s, page)) == got;
	snapshot_done(&s);
	if (moved)
		k->letters[page] = got;
	return moved;
}

static bool states_are_right(struct known *k, const struct snapshot *s, bool *partly, char *why,
			     size_t size)
{
	uint64_t swapped = 0, entries = 0;

	for (uint64_t i = 0; i < strlen(k->letters); i++) {
		char made = k->letters[i], got = letter_of(state_of(s, i));

		entries += got == 'S' || got == 'C';
		if (got == '?')
			*partly = true;
		else if (is_all_that_is_known(s, made, got))
			continue;
		else if (may_be_swapped(made, got))
			swapped++;
		else if (got != made && !has_moved(k, i, got)) {
			snprintf(why, size, "fd %d: page %llu is %c, not %c, says %s", k->fd,
				 (unsigned long long)i, made, got, s->probe);
			return false;
		}
	}
	if (swapped)
		snprintf(why, size, "fd %d: not swapped", k->fd);
	return swapped == 0 || entries <= pages_swapped(k->fd);
}

/* What was not known when all was as it is may be known by now: what make_swapped() made it. */
static bool content_is_right(uint64_t page, enum slot_content made, enum slot_content got)
{
	if (made == SLOT_UNKNOWN)
		made = page % ZEROS ? SLOT_DEVICE : SLOT_ZERO;
	return got == made || got == SLOT_UNKNOWN;
}

static bool slots_are_right(struct known *k, const struct slot_map *map, bool *partly, char *why,
			    size_t size)
{
	for (uint64_t page = 0; page < strlen(k->letters); page++) {
		const struct slot_extent *x = slot_map_seek(&k->slots, page);
		const struct slot_extent *y = slot_map_seek(map, page);
		bool has_x = x && x->first <= page, has_y = y && y->first <= page;
		char got;

		if (!has_x && (!has_y || may_be_swapped(k->letters[page], 'S')))
			continue;
		if (!has_y && k->letters[page] == 'P')
			continue;
		if (has_x && !has_y && map->unlocated > 0) {
			*partly = true;
			continue;
		}
		snprintf(why, size, "fd %d: page %llu located wrong", k->fd,
			 (unsigned long long)page);
		if (has_x != has_y || x->type != y->type ||
		    page - x->first + x->offset != page - y->first + y->offset)
			return false;
		if (!content_is_right(page, x->content, y->content))
			return false;
		got = y->cached == SLOT_CACHED ? 'C' : 'S';
		if (y->cached != SLOT_CACHED_UNKNOWN && got != k->letters[page] &&
		    !has_moved(k, page, got))
			return false;
		if ((y->content == SLOT_UNKNOWN && x->content != SLOT_UNKNOWN) ||
		    y->cached == SLOT_CACHED_UNKNOWN)
			*partly = true;
		why[0] = '\0';
	}
	return true;
}

static bool is_right_about(struct prober *p, struct known *k, bool *partly, char *why, size_t size)
{
	struct probe_request request = request_of(k->fd, &caps);
	struct snapshot s = {0};
	int r = p->walker ? probe_walk(p, &request, &s) : probe(p, &request, &s);
	bool right;

	if (!k->letters) {
		right = p->walker ? r == -EOPNOTSUPP : true;
		if (!right)
			snprintf(why, size, "fd %d: no shared memory: %d", k->fd, r);
		snapshot_done(&s);
		return right;
	}
	if (r < 0) {
		snprintf(why, size, "fd %d: probe: %s", k->fd, strerror(-r));
		return false;
	}
	right = states_are_right(k, &s, partly, why, size);
	if (!p->walker && s.walk_error >= 0)
		right = false;
	snapshot_done(&s);
	return right;
}

static bool is_located(struct prober *p, struct known *k, bool *partly, char *why, size_t size)
{
	struct probe_request request = request_of(k->fd, &caps);
	struct slot_map map;
	int r = probe_locate(p, &request, &map);
	bool right;

	if (r < 0) {
		snprintf(why, size, "fd %d: locate: %s", k->fd, strerror(-r));
		*partly = true;
		return true;
	}
	right = slots_are_right(k, &map, partly, why, size);
	slot_map_done(&map);
	return right;
}

bool known_are_right(struct prober *p, bool locate, bool *ret_partly, char *why, size_t size)
{
	for (size_t i = 0; i < n_known; i++)
		if (!is_right_about(p, &known[i], ret_partly, why, size) ||
		    (locate && p->walker && known[i].letters &&
		     !is_located(p, &known[i], ret_partly, why, size)))
			return false;
	return true;
}
