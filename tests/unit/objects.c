/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "probe/smaps.h"

struct kcaps caps;
uint64_t page_size;

int objects_setup(void **state)
{
	(void)state;
	if (kcaps_probe(&caps) < 0)
		return -1;
	page_size = caps.page_size;
	return 0;
}

int new_object(uint64_t size)
{
	int fd = memfd_create("shmstate-probe", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

void write_page(int fd, uint64_t page)
{
	assert_int_equal(pwrite(fd, "x", 1, (off_t)(page * page_size)), 1);
}

void allocate(int fd, uint64_t first, uint64_t count, int mode)
{
	assert_int_equal(
		fallocate(fd, mode, (off_t)(first * page_size), (off_t)(count * page_size)), 0);
}

int make(const char *letters)
{
	uint64_t n = strlen(letters);
	int fd = new_object(n * page_size);

	for (uint64_t i = 0; i < n; i++) {
		if (letters[i] == 'P')
			write_page(fd, i);
		else if (letters[i] == 'a')
			allocate(fd, i, 1, 0);
	}
	return fd;
}

struct probe_request request_of(int fd, const struct kcaps *with)
{
	return (struct probe_request){.fd = fd, .caps = with, .range = PROBE_ALL};
}

void check_snapshot(const struct snapshot *s)
{
	struct state_cursor cursor = state_map_seek(&s->map, s->first);
	uint64_t at = s->first, sum = 0;
	struct extent e;

	assert_int_equal(s->map.first, s->first);
	assert_int_equal(s->map.count, s->count);
	while (state_cursor_next(&cursor, &e)) {
		assert_int_equal(e.first, at);
		at += e.count;
	}
	assert_int_equal(at - s->first, s->count);
	assert_memory_equal(s->map.counts, s->counts, sizeof(s->counts));
	for (int i = 0; i < PAGE_STATE_MAX; i++)
		sum += s->counts[i];
	assert_int_equal(sum, s->count);
	assert_true(s->first + s->count <= size_to_pages(s->size, s->page_size));
	assert_int_equal(s->stable, s->moved == 0);
	assert_true(strcmp(s->probe, "portable") == 0 || strcmp(s->probe, "walk") == 0);
	assert_int_equal(s->page_size, page_size);
}

enum page_state state_of(const struct snapshot *s, uint64_t page)
{
	if (page - s->map.first >= s->map.count)
		return PAGE_STATE_MAX;
	return state_map_get(&s->map, page);
}

char letter_of(enum page_state state)
{
	static const char letters[] = ".aPCSXc?";

	return state < PAGE_STATE_MAX ? letters[state] : '!';
}

/*
 * A kernel without cachestat (or a valgrind that does not know it) tells less, and says so: then in
 * core and unknown are right too.
 */
bool is_right(const struct kcaps *with, char made, char got)
{
	if (got == made)
		return true;
	if (kcaps_has(with, KCAP_CACHESTAT))
		return false;
	return made == 'P' ? got == 'c' : got == '?';
}

uint64_t pages_swapped(int fd)
{
	uint64_t swapped = 0;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (smaps_swapped(fd, page_size, size_to_pages((uint64_t)st.st_size, page_size), &swapped))
		return 0;
	return swapped;
}

/*
 * Other programs may be short of memory, and then a page that was just made may be in swap: that is
 * a right answer, as long as the kernel knows of as many swap entries.
 */
void compare(int fd, const struct snapshot *s, const struct kcaps *with, const char *letters)
{
	uint64_t swapped = 0;

	check_snapshot(s);
	for (uint64_t i = s->first; i < s->first + s->count; i++) {
		char made = letters[i], got = letter_of(state_of(s, i));

		if (made != '.' && (got == 'S' || got == 'C'))
			swapped++;
		else if (!is_right(with, made, got))
			fail_msg("page %llu: made %c, got %c", (unsigned long long)i, made, got);
	}
	if (swapped > 0)
		assert_true(swapped <= pages_swapped(fd));
}
