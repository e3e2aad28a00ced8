/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "lib/shmstate/map.h"
#include "serve/map-file.h"
#include "util/util.h"

_Static_assert(SHMSTATE_STATES == PAGE_STATE_MAX && SHMSTATE_UNKNOWN == (int)PAGE_UNKNOWN,
	       "states are numbered in public as they are inside");
_Static_assert(sizeof(struct shmstate_map_block) == sizeof(struct state_block),
	       "blocks are written as they are");

/* The pages behind the last whole block. */
static bool has_pending(const struct state_map *map)
{
	return (map->first + map->count) % STATE_BLOCK_PAGES != 0 && map->count > 0;
}

static struct shmstate_map_segment *make_segments(const struct state_map *map, size_t *ret_n)
{
	struct shmstate_map_segment *segments = calloc(map->n_segments + 1, sizeof(*segments));
	size_t n = 0;

	if (!segments)
		return NULL;
	for (; n < map->n_segments; n++) {
		const struct state_segment *s = &map->segments[n];
		bool uniform = s->dense == STATE_SEGMENT_UNIFORM;

		segments[n] = (struct shmstate_map_segment){
			.first = s->first,
			.count = s->count,
			.block = uniform ? SHMSTATE_MAP_UNIFORM : s->dense,
			.state = uniform ? (uint32_t)s->state : 0,
		};
	}
	if (has_pending(map))
		segments[n++] = (struct shmstate_map_segment){
			.first = (map->first + map->count) / STATE_BLOCK_PAGES,
			.count = 1,
			.block = map->n_dense,
		};
	*ret_n = n;
	return segments;
}

uint32_t map_file_flags(const struct result *r, page_state_mask states)
{
	const struct snapshot *s = &r->snapshot;

	return (s->stable ? SHMSTATE_MAP_STABLE : 0u) |
	       (snapshot_is_incomplete(s, states) ? SHMSTATE_MAP_INCOMPLETE : 0u) |
	       (s->settled ? SHMSTATE_MAP_SETTLED : 0u);
}

static struct shmstate_map_header make_header(const struct result *r, page_state_mask states,
					      size_t n_segments)
{
	const struct snapshot *s = &r->snapshot;
	struct shmstate_map_header h = {
		.magic = SHMSTATE_MAP_MAGIC,
		.version = SHMSTATE_MAP_VERSION,
		.flags = map_file_flags(r, states),
		.page_size = s->page_size,
		.object_size = s->size,
		.first = s->first,
		.count = s->count,
		.moved = s->moved,
		.segments = sizeof(h),
		.n_segments = n_segments,
		.n_blocks = s->map.n_dense + has_pending(&s->map),
		.generation = s->generation,
	};

	h.blocks = h.segments + n_segments * sizeof(struct shmstate_map_segment);
	h.size = h.blocks + h.n_blocks * sizeof(struct shmstate_map_block);
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		h.counts[i] = s->counts[i];
	return h;
}

/* All of it, however much the kernel takes at once. */
static int write_all(int fd, struct iovec *iov, int n)
{
	while (n > 0) {
		ssize_t done = writev(fd, iov, n);

		if (done < 0)
			return -errno;
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

int map_file_seal(const char *name, struct iovec *pieces, int n)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, pieces, n);
	if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r >= 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r < 0 ? r : TAKE_FD(fd);
}

int map_file_make(const struct result *r, page_state_mask states)
{
	_cleanup_free_ struct shmstate_map_segment *segments = NULL;
	const struct state_map *map = &r->snapshot.map;
	struct state_block pending = map->pending;
	struct shmstate_map_header header;
	size_t n;

	segments = make_segments(map, &n);
	if (!segments)
		return -ENOMEM;
	header = make_header(r, states, n);
	return map_file_seal("shmstate-map",
			     (struct iovec[]){
				     {&header, sizeof(header)},
				     {segments, n * sizeof(*segments)},
				     {map->dense, map->n_dense * sizeof(*map->dense)},
				     {&pending, has_pending(map) ? sizeof(pending) : 0},
			     },
			     4);
}
