/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "locate-check.h"
#include "util/util.h"

/* How much of a device is read at once. */
#define READ_PAGES 256

/* How many wrong pages are told one by one. */
#define COMPLAINTS_MAX 20

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void subject_open(struct subject *s, const char *dir, uint64_t pages)
{
	int r = kcaps_probe(&s->caps);

	if (r < 0)
		die("no memfd: %s", strerror(-r));
	r = prober_open_to_locate(&s->prober, &s->caps, PROBE_WALK);
	if (r < 0) {
		printf("SKIP: no walk here: %s\n", strerror(-r));
		exit(77);
	}
	s->fd = dir ? open(dir, O_TMPFILE | O_RDWR, 0600) : memfd_create("locate", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)(pages * PAGE)) < 0)
		die("%s: %s", dir ? dir : "memfd", strerror(errno));
	s->pages = pages;
	s->map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	s->generation = calloc(pages, sizeof(*s->generation));
	if (s->map == MAP_FAILED || !s->generation)
		die("out of memory");
	for (unsigned k = 0; k < SLOT_TYPES; k++)
		s->devices[k] = -1;
	s->quiet = true;
}

void subject_done(struct subject *s)
{
	munmap(s->map, s->pages * PAGE);
	close(s->fd);
	free(s->generation);
	for (unsigned k = 0; k < SLOT_TYPES; k++) {
		closep(&s->devices[k]);
		free(s->device_paths[k]);
	}
	prober_done(&s->prober);
}

static uint64_t mix(uint64_t z)
{
	/* splitmix64 */
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* What a page of this object holds, which no page of another one does. */
static void fill(const struct subject *s, uint64_t page, uint64_t *words)
{
	uint64_t seed = mix((uint64_t)getpid() << 40 ^ page << 16) ^ s->generation[page];
	size_t n = PAGE / sizeof(*words), random = s->half_random ? n / 2 : 8;

	memset(words, 0, PAGE);
	if (s->generation[page] == 0)
		return;
	for (size_t i = 0; i < random; i++)
		words[i] = mix(seed + i);
	for (size_t i = random; i < n; i++)
		words[i] = seed;
}

void subject_write(struct subject *s, uint64_t first, uint64_t count, uint64_t zero_each)
{
	static uint32_t last;

	for (uint64_t i = first; i < first + count; i++) {
		s->generation[i] = zero_each && i % zero_each == 0 ? 0 : ++last;
		fill(s, i, (uint64_t *)(void *)(s->map + i * PAGE));
	}
}

void subject_punch(struct subject *s, uint64_t first, uint64_t count)
{
	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * PAGE),
		      (off_t)(count * PAGE)) < 0)
		die("punch: %s", strerror(errno));
	memset(s->generation + first, 0, count * sizeof(*s->generation));
}

void subject_touch(struct subject *s, uint64_t first, uint64_t count, uint64_t step)
{
	for (uint64_t i = first; i < first + count; i += step)
		(void)*(volatile char *)(s->map + i * PAGE);
}

void subject_page_out(struct subject *s, uint64_t first, uint64_t count)
{
	if (madvise(s->map + first * PAGE, count * PAGE, MADV_PAGEOUT) < 0)
		die("MADV_PAGEOUT: %s", strerror(errno));
}

void subject_reclaim(struct subject *s)
{
	int fd = s->reclaim ? open(s->reclaim, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	/* It fails when less than asked for could be reclaimed, which is usual. */
	if (write(fd, "1G", 2) < 0)
		errno = 0;
	close(fd);
}

/* The device of a swap, by its name; -1: it has none. */
static int device_of(struct subject *s, const struct slot_map *map, unsigned type)
{
	const char *path = map->swaps[type].path;

	if (!path)
		return -1;
	if (s->devices[type] >= 0 && strcmp(s->device_paths[type], path) == 0)
		return s->devices[type];
	closep(&s->devices[type]);
	free(s->device_paths[type]);
	s->device_paths[type] = strdup(path);
	s->devices[type] = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return s->devices[type];
}

/* Has each page the content that the device has at its slot? */
static void read_extent(struct subject *s, const struct slot_map *map, const struct slot_extent *e,
			char *ret_equal)
{
	static _Alignas(PAGE) char buf[READ_PAGES * PAGE];
	int fd = device_of(s, map, e->type);

	if (fd < 0)
		die("swap %u has no name that could be opened", e->type);
	for (uint64_t done = 0; done < e->count; done += READ_PAGES) {
		uint64_t n = MIN(e->count - done, READ_PAGES);
		uint64_t words[PAGE / sizeof(uint64_t)];

		if (pread(fd, buf, n * PAGE, (off_t)((e->offset + done) * PAGE)) !=
		    (ssize_t)(n * PAGE))
			die("%s, slot %" PRIu64 ": %s", map->swaps[e->type].path, e->offset + done,
			    strerror(errno));
		for (uint64_t i = 0; i < n; i++) {
			fill(s, e->first + done + i, words);
			ret_equal[done + i] = memcmp(buf + i * PAGE, words, PAGE) == 0;
		}
	}
}

static bool is_wrong(enum slot_content content, bool equal, bool is_zero, struct tally *tally)
{
	switch (content) {
	case SLOT_DEVICE:
		tally->compared++;
		return !equal;
	case SLOT_ZERO:
		tally->zero++;
		return !is_zero;
	case SLOT_ZSWAP:
		tally->zswap++;
		return equal && !is_zero;
	case SLOT_UNKNOWN:
	case SLOT_CONTENT_MAX:
		break;
	}
	tally->unknown++;
	return false;
}

static void judge(const struct subject *s, const struct slot_extent *e,
		  const struct slot_map *after, const char *equal, struct tally *tally)
{
	for (uint64_t i = 0; i < e->count; i++) {
		uint64_t page = e->first + i;
		const struct slot_extent *f = slot_map_seek(after, page);

		if (!f || f->first > page || f->type != e->type ||
		    f->offset + (page - f->first) != e->offset + i) {
			tally->moved++;
			continue;
		}
		tally->cached += e->content == SLOT_DEVICE && e->cached == SLOT_CACHED;
		if (!is_wrong(e->content, equal[i], s->generation[page] == 0, tally))
			continue;
		/* zswap may have written it to the device since. */
		if (e->content == SLOT_ZSWAP && f->content != SLOT_ZSWAP)
			continue;
		if (tally->wrong++ < COMPLAINTS_MAX)
			printf("WRONG: page %" PRIu64 ": type %u offset %" PRIu64
			       " %s cached %d, later %s cached %d\n",
			       page, e->type, e->offset + i, slot_content_to_string(e->content),
			       e->cached, slot_content_to_string(f->content), f->cached);
	}
}

/* Nothing is left out: as many pages as the probe calls swapped or swap_cache. */
static void check_count(struct subject *s, const struct probe_request *request,
			const struct slot_map *map, struct tally *tally)
{
	struct snapshot snapshot;
	uint64_t swapped;

	if (probe(&s->prober, request, &snapshot) < 0)
		die("probe failed");
	swapped = snapshot.counts[PAGE_SWAPPED] + snapshot.counts[PAGE_SWAP_CACHE];
	if (swapped != slot_map_located(map))
		printf("%" PRIu64 " pages located, %" PRIu64 " swapped%s\n", slot_map_located(map),
		       swapped, map->unlocated ? ", some unlocated" : "");
	/* Others may have made a few move. */
	if (swapped > slot_map_located(map) + s->pages / 100 + 64)
		tally->wrong++;
	snapshot_done(&snapshot);
}

void locate(struct subject *s, const struct probe_request *request, struct slot_map *ret)
{
	int r = probe_locate(&s->prober, request, ret);

	if (r < 0)
		die("locate: %s", strerror(-r));
}

void subject_check(struct subject *s, uint64_t first, uint64_t count, struct tally *tally)
{
	struct probe_request request = {
		.fd = s->fd, .caps = &s->caps, .range = {.first = first, .count = count}};
	struct slot_map map = {0}, after = {0};
	char *equal = calloc(count, 1);

	if (!equal)
		die("out of memory");
	locate(s, &request, &map);
	for (size_t i = 0; i < map.n_items; i++)
		read_extent(s, &map, &map.items[i], equal + (map.items[i].first - first));
	locate(s, &request, &after);
	for (size_t i = 0; i < map.n_items; i++)
		judge(s, &map.items[i], &after, equal + (map.items[i].first - first), tally);
	tally->unknown += map.unlocated;
	if (s->quiet)
		check_count(s, &request, &after, tally);
	slot_map_done(&map);
	slot_map_done(&after);
	free(equal);
}
