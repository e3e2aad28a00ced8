/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "lib/shmstate/shmstate.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define FIRST 100
#define COUNT 1000
#define SEGMENTS_MAX 32
#define BLOCKS_MAX 32

/* A map as the service would make it. The gap stands for fields of later times. */
struct image {
	struct shmstate_map_header header;
	uint64_t gap;
	struct shmstate_map_segment segments[SEGMENTS_MAX];
	struct shmstate_map_block blocks[BLOCKS_MAX];
};

static unsigned char truth[FIRST + COUNT + 64];

/* Pages of all states: runs of lengths up to `longest`. */
static void make_truth(struct random *random, unsigned longest)
{
	unsigned state = 0, left = 0;

	for (size_t i = 0; i < sizeof(truth); i++, left--) {
		if (left == 0) {
			state = (unsigned)random_below(random, 8);
			left = 1 + (unsigned)random_below(random, longest);
		}
		truth[i] = (unsigned char)state;
	}
}

static struct shmstate_map_block make_block(uint64_t number, bool *ret_uniform)
{
	struct shmstate_map_block b = {{0}};
	unsigned first = truth[number * 64];

	*ret_uniform = true;
	for (unsigned i = 0; i < 64; i++) {
		unsigned s = truth[number * 64 + i];

		*ret_uniform = *ret_uniform && s == first;
		for (unsigned p = 0; p < 3; p++)
			b.plane[p] |= (uint64_t)(s >> p & 1) << i;
	}
	return b;
}

/* Blocks in segments: the longest there can be, or (cut) a segment for each block. */
static void make_image(struct image *image, bool cut)
{
	struct shmstate_map_header *h = &image->header;

	*image = (struct image){.header = {.magic = SHMSTATE_MAP_MAGIC,
					   .version = SHMSTATE_MAP_VERSION,
					   .flags = SHMSTATE_MAP_STABLE,
					   .size = sizeof(*image),
					   .page_size = 4096,
					   .object_size = (FIRST + COUNT) * 4096 - 1,
					   .first = FIRST,
					   .count = COUNT,
					   .segments = offsetof(struct image, segments),
					   .blocks = offsetof(struct image, blocks)}};
	for (uint64_t i = FIRST / 64; i <= (FIRST + COUNT - 1) / 64; i++) {
		struct shmstate_map_segment *s = &image->segments[h->n_segments];
		unsigned state = truth[i * 64];
		bool uniform,
			last_uniform = h->n_segments > 0 && s[-1].block == SHMSTATE_MAP_UNIFORM;
		struct shmstate_map_block b = make_block(i, &uniform);

		if (!uniform)
			image->blocks[h->n_blocks++] = b;
		if (!cut && h->n_segments > 0 && uniform == last_uniform &&
		    (!uniform || s[-1].state == state)) {
			s[-1].count++;
			continue;
		}
		*s = (struct shmstate_map_segment){.first = i,
						   .count = 1,
						   .block = uniform ? SHMSTATE_MAP_UNIFORM
								    : h->n_blocks - 1,
						   .state = uniform ? state : 0};
		h->n_segments++;
	}
	for (unsigned i = FIRST; i < FIRST + COUNT; i++)
		h->counts[truth[i]]++;
}

static int make_fd(const void *bytes, size_t size, int seals)
{
	int fd = memfd_create("shmstate-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int open_bytes(const void *bytes, size_t size, struct shmstate_map **ret)
{
	_cleanup_close_ int fd = make_fd(bytes, size, SEALS);

	return shmstate_map_open(fd, ret);
}

/* Each page alone, and the extents, from each page on. */
static void check_map(const struct shmstate_map *map)
{
	struct shmstate_extent e;
	uint64_t page = 0, at = FIRST;

	assert_int_equal(shmstate_map_first(map), FIRST);
	assert_int_equal(shmstate_map_count(map), COUNT);
	assert_int_equal(shmstate_map_get(map, FIRST - 1), -ERANGE);
	assert_int_equal(shmstate_map_get(map, FIRST + COUNT), -ERANGE);
	assert_int_equal(shmstate_map_get(map, UINT64_MAX), -ERANGE);
	for (unsigned i = FIRST; i < FIRST + COUNT; i++)
		assert_int_equal(shmstate_map_get(map, i), truth[i]);
	while (shmstate_map_next(map, &page, &e)) {
		assert_int_equal(e.first, at);
		assert_true(e.count > 0 && e.first + e.count <= FIRST + COUNT);
		for (uint64_t i = e.first; i < e.first + e.count; i++)
			assert_int_equal(truth[i], e.state);
		at += e.count;
		assert_int_equal(page, at);
		assert_true(at == FIRST + COUNT || truth[at] != e.state);
	}
	assert_int_equal(at, FIRST + COUNT);
	for (at = FIRST; at < FIRST + COUNT; at++) {
		page = at;
		assert_int_equal(shmstate_map_next(map, &page, &e), 1);
		assert_int_equal(e.first, at);
		assert_int_equal(truth[at], e.state);
	}
	page = UINT64_MAX;
	assert_int_equal(shmstate_map_next(map, &page, &e), 0);
}

static void test_read(void **state)
{
	struct random random = {.state = 1};
	struct image image;

	(void)state;
	for (unsigned longest = 1; longest < 1024; longest *= 2) {
		make_truth(&random, longest);
		for (int cut = 0; cut < 2; cut++) {
			struct shmstate_map *map;

			make_image(&image, cut);
			assert_int_equal(open_bytes(&image, sizeof(image), &map), 0);
			check_map(map);
			assert_int_equal(shmstate_map_page_size(map), 4096);
			assert_int_equal(shmstate_map_object_size(map), (FIRST + COUNT) * 4096 - 1);
			assert_true(shmstate_map_is_stable(map));
			assert_false(shmstate_map_is_incomplete(map));
			for (int i = 0; i < SHMSTATE_STATES; i++)
				assert_int_equal(shmstate_map_pages(map, i),
						 image.header.counts[i]);
			assert_int_equal(shmstate_map_pages(map, -1), 0);
			assert_int_equal(shmstate_map_pages(map, 8), 0);
			assert_null(shmstate_map_free(map));
		}
	}
}

static void test_empty(void **state)
{
	struct image image = {.header = {.magic = SHMSTATE_MAP_MAGIC,
					 .version = SHMSTATE_MAP_VERSION,
					 .size = sizeof(image.header),
					 .page_size = 4096,
					 .segments = sizeof(image.header),
					 .blocks = sizeof(image.header)}};
	struct shmstate_map *map;
	struct shmstate_extent e;
	uint64_t page = 0;

	(void)state;
	assert_int_equal(open_bytes(&image, sizeof(image.header), &map), 0);
	assert_int_equal(shmstate_map_next(map, &page, &e), 0);
	assert_int_equal(shmstate_map_get(map, 0), -ERANGE);
	shmstate_map_free(map);
	assert_null(shmstate_map_free(NULL));
}

/* What is no map, or not sealed, or cut at any byte. */
static void test_refused(void **state)
{
	struct random random = {.state = 2};
	struct shmstate_map *map = NULL;
	struct image image;
	int fd, fds[2];

	(void)state;
	make_truth(&random, 100);
	make_image(&image, false);
	for (size_t size = 0; size < sizeof(image); size++)
		assert_int_equal(open_bytes(&image, size, &map), -EBADMSG);
	fd = make_fd(&image, sizeof(image), F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(shmstate_map_open(fd, &map), -EBADMSG);
	close(fd);
	fd = make_fd(&image, sizeof(image), F_SEAL_WRITE | F_SEAL_GROW);
	assert_int_equal(shmstate_map_open(fd, &map), -EBADMSG);
	close(fd);
	assert_int_equal(shmstate_map_open(-1, &map), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(shmstate_map_open(fds[0], &map), -EBADMSG);
	close(fds[0]);
	close(fds[1]);
	assert_null(map);
}

#define FIELD(name, ...)                                                                \
	{                                                                               \
#name, offsetof(struct image, name), sizeof(((struct image *)0)->name), \
		{                                                                       \
			__VA_ARGS__                                                     \
		}                                                                       \
	}

/* Values that each field must not have; UINT64_MAX - 1 and so on are tried on all of them. */
static const struct field {
	const char *name;
	size_t offset, size;
	uint64_t bad[6];
} fields[] = {
	FIELD(header.magic, 1),
	FIELD(header.version, 2),
	FIELD(header.size, 1, sizeof(struct shmstate_map_header), sizeof(struct image) + 1),
	FIELD(header.page_size, 3, 4097, 8192),
	FIELD(header.object_size, 1, (FIRST + COUNT - 1) * 4096),
	FIELD(header.first, FIRST + 1, FIRST + 64, UINT64_C(1) << 63),
	FIELD(header.count, COUNT - 1, COUNT + 1, 1),
	FIELD(header.counts[3], COUNT + 1, 1000000),
	FIELD(header.segments, 1, sizeof(struct shmstate_map_header) - 8,
	      offsetof(struct image, segments) + 4, offsetof(struct image, segments) + 8,
	      offsetof(struct image, blocks), sizeof(struct image)),
	FIELD(header.n_segments, 1, SEGMENTS_MAX, UINT64_C(1) << 59, UINT64_C(1) << 61),
	FIELD(header.blocks, 1, 4, sizeof(struct shmstate_map_header) - 8,
	      sizeof(struct image) + 8),
	FIELD(header.n_blocks, 1, 100000, UINT64_C(1) << 61),
	FIELD(segments[0].first, 2, FIRST),
	FIELD(segments[1].first, 1, FIRST),
	FIELD(segments[0].count, 100),
	FIELD(segments[1].count, 1000, UINT64_C(1) << 63),
	FIELD(segments[0].block, BLOCKS_MAX, UINT64_C(1) << 63),
	FIELD(segments[1].block, BLOCKS_MAX + 1),
};

static void expect_refused(const struct image *good, const struct field *f, uint64_t value)
{
	struct image image = *good;
	struct shmstate_map *map = NULL;
	int r;

	memcpy((char *)&image + f->offset, &value, f->size);
	r = open_bytes(&image, sizeof(image), &map);
	if (r != -EBADMSG && !(r == -EPROTONOSUPPORT && f->offset == 8))
		fail_msg("%s = %#llx: %d", f->name, (unsigned long long)value, r);
}

static void test_altered(void **state)
{
	struct random random = {.state = 3};
	struct image image;

	(void)state;
	/* No block is uniform, and each is a segment of its own. */
	make_truth(&random, 1);
	make_image(&image, true);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		/* An object may well be larger than what was looked at. */
		if (strcmp(f->name, "header.object_size") != 0) {
			expect_refused(&image, f, 0x7fffffffffffffff);
			expect_refused(&image, f, UINT64_MAX - 1);
		}
		/* 0 is what the first of the blocks is. */
		if (strcmp(f->name, "segments[0].block") != 0 &&
		    strcmp(f->name, "segments[1].block") != 0)
			expect_refused(&image, f, 0);
		for (size_t k = 0; k < ARRAY_SIZE(f->bad) && f->bad[k]; k++)
			expect_refused(&image, f, f->bad[k]);
	}
}

/* Whatever stands there: what is taken can be read from end to end. */
static void test_random(void **state)
{
	struct random random = {.state = 4};
	struct image good;
	int taken = 0;

	(void)state;
	for (int i = 0; i < rounds(20000); i++) {
		struct shmstate_map *map;
		struct image image;
		size_t part = random_below(&random, 2) ? sizeof(image.header) : sizeof(image);
		uint64_t value =
			random_below(&random, 2) ? random_below(&random, 64) : random_next(&random);

		if (i % 100 == 0) {
			make_truth(&random, 1 + (unsigned)random_below(&random, 200));
			make_image(&good, random_below(&random, 2));
		}
		image = good;
		memcpy((char *)&image + random_below(&random, part / 8) * 8, &value, 8);
		if (open_bytes(&image, sizeof(image), &map) == 0) {
			struct shmstate_extent e;
			uint64_t page = 0, pages = 0;

			while (shmstate_map_next(map, &page, &e))
				pages += e.count;
			assert_int_equal(pages, shmstate_map_count(map));
			shmstate_map_free(map);
			taken++;
		}
	}
	assert_true(taken > 0);
}

/* States of later times are not known to this library. */
static void test_states(void **state)
{
	struct shmstate_map *map;
	struct image image;

	(void)state;
	memset(truth, SHMSTATE_HOLE, sizeof(truth));
	make_image(&image, false);
	image.segments[0].state = 9;
	assert_int_equal(open_bytes(&image, sizeof(image), &map), 0);
	assert_int_equal(shmstate_map_get(map, FIRST), SHMSTATE_UNKNOWN);
	shmstate_map_free(map);
	assert_string_equal(shmstate_state_name(SHMSTATE_SWAP_CACHE), "swap_cache");
	assert_null(shmstate_state_name(-1));
	assert_null(shmstate_state_name(8));
}

/* An answer, with the descriptor that it names, with another, and with none. */
static void classify(const char *reply, bool with_fd, int expected)
{
	struct shmstate_selector selector = SHMSTATE_SELECTOR_INIT;
	struct random random = {.state = 5};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (char *)reply, .iov_len = strlen(reply) + 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct shmstate_map *map = NULL;
	struct shmstate *s;
	struct image image;
	int fd, fds[2];

	make_truth(&random, 10);
	make_image(&image, false);
	fd = make_fd(&image, sizeof(image), SEALS);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (with_fd) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(shmstate_open_fd(fds[0], &s), 0);
	assert_true(sendmsg(fds[1], &m, 0) > 0);
	close(fd);
	selector.id = "0:1:5";
	assert_int_equal(shmstate_classify(s, &selector, NULL, SHMSTATE_PROBE_AUTO, &map),
			 expected);
	shmstate_close(s);
	if (expected == 0)
		check_map(map);
	shmstate_map_free(map);
	close(fds[1]);
}

static void test_classify(void **state)
{
	(void)state;
	classify("{\"parameters\":{\"fileDescriptor\":0}}", true, 0);
	classify("{\"parameters\":{\"fileDescriptor\":0}}", false, -EBADMSG);
	classify("{\"parameters\":{\"fileDescriptor\":1}}", true, -EBADMSG);
	classify("{\"parameters\":{\"fileDescriptor\":-1}}", true, -EBADMSG);
	classify("{\"parameters\":{\"fileDescriptor\":4294967296}}", true, -EBADMSG);
	classify("{\"parameters\":{\"fileDescriptor\":null}}", true, -EBADMSG);
	classify("{\"parameters\":{\"fileDescriptor\":\"0\"}}", true, -EBADMSG);
	classify("{}", true, -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),     cmocka_unit_test(test_empty),
		cmocka_unit_test(test_refused),  cmocka_unit_test(test_altered),
		cmocka_unit_test(test_random),   cmocka_unit_test(test_states),
		cmocka_unit_test(test_classify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
