/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "model/snapshot.h"
#include "probe/account.h"
#include "probe/cachestat.h"
#include "probe/smaps.h"
#include "util/file.h"
#include "util/parse.h"
#include "util/util.h"

/*
 * A kernel before 6.13 stamps ctime with the last timer tick. A change within the same tick as the
 * one before would leave it as it was; one tick is 10 ms at most (HZ=100).
 */
#define TICK_NSEC INT64_C(20000000)

/* The counters that a page passes on its way to swap and back, by their names in /proc/vmstat. */
static const char *const swap_in_events[] = {"pswpin", "swpin_zero", "zswpin", "swap_ra"};
static const char *const swap_out_events[] = {"pswpout", "swpout_zero", "zswpout"};

static bool is_one_of(const char *name, const char *const names[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int account_read_events(struct account *a)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read_at(AT_FDCWD, "/proc/vmstat", &text);
	char *line, *rest = text;
	bool found = false;

	if (n < 0)
		return (int)n;
	while ((line = strsep(&rest, "\n"))) {
		char *name = strsep(&line, " ");
		uint64_t value;

		if (!line || parse_u64(line, 10, &value) < 0)
			continue;
		if (is_one_of(name, swap_in_events, ARRAY_SIZE(swap_in_events)))
			a->swap_ins += value;
		else if (is_one_of(name, swap_out_events, ARRAY_SIZE(swap_out_events)))
			a->swap_outs += value;
		found |= strcmp(name, "pswpout") == 0;
	}
	return found ? 0 : -ENODATA;
}

int account_read_stat(int fd, const struct kcaps *caps, struct account *ret)
{
	struct account a = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (clock_gettime(CLOCK_REALTIME, &a.now) < 0)
		return -errno;
	a.size = (uint64_t)st.st_size;
	a.pages = size_to_pages(a.size, caps->page_size);
	a.blocks = (uint64_t)st.st_blocks / (caps->page_size / 512);
	a.changed = st.st_ctim;
	*ret = a;
	return 0;
}

void account_add_events(struct account *a)
{
	a->have_events = account_read_events(a) == 0;
}

int account_read(int fd, const struct kcaps *caps, struct account *ret)
{
	struct slot_counts beyond;
	struct account a;
	int r = account_read_stat(fd, caps, &a);

	if (r < 0)
		return r;
	a.have_swapped = smaps_swapped(fd, caps->page_size, a.pages, &a.swapped) == 0;
	if (kcaps_has(caps, KCAP_CACHESTAT) &&
	    cachestat_count(fd, caps->page_size, a.pages, 0, &beyond) == 0) {
		a.have_beyond = true;
		a.beyond = beyond.folios + beyond.entries;
		a.beyond_entries = beyond.entries;
	}
	account_add_events(&a);
	*ret = a;
	return 0;
}

static int64_t nsec_between(const struct timespec *from, const struct timespec *to)
{
	return (to->tv_sec - from->tv_sec) * INT64_C(1000000000) + (to->tv_nsec - from->tv_nsec);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * - Slots filled (write, fault) or emptied (punch, truncate): blocks shows either alone; that both
 *   happened needs a punch, which moves ctime. (Folios beyond the end may be freed without one.)
 * - Folio to swap entry or back: swapped shows either alone; both need a swap-out.
 * - Swap entry into the swap cache: needs a swap-in.
 */
bool account_is_quiet(const struct account *before, const struct account *after)
{
	if (!before->have_events || !after->have_events)
		return false;
	if (!before->have_beyond || !after->have_beyond || before->beyond > 0 || after->beyond > 0)
		return false;
	return account_is_still(before, after) && before->swap_ins == after->swap_ins &&
	       before->swap_outs == after->swap_outs;
}

bool account_is_still(const struct account *before, const struct account *after)
{
	if (!before->have_swapped || !after->have_swapped)
		return false;
	return before->size == after->size && before->blocks == after->blocks &&
	       before->swapped == after->swapped && same_time(&before->changed, &after->changed) &&
	       nsec_between(&before->changed, &before->now) > TICK_NSEC;
}

bool account_is_whole(const struct account *a)
{
	return a->have_swapped && a->have_beyond && a->beyond == 0;
}
