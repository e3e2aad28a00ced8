// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One scenario: answers against expectation, oracles against expectation, and what must not have
 * changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

enum {
	MANY_PAGES = 1 << 22, /* from here on, holes on which all agree are not counted */
	SHOWN = 4,            /* wrong extents that are shown of an answer */
};

void problem(struct run *run, const char *format, ...)
{
	size_t used = strlen(run->messages);
	va_list ap;

	run->problems++;
	if (used + 2 >= sizeof(run->messages))
		return;
	snprintf(run->messages + used, sizeof(run->messages) - used, "     ");
	used = strlen(run->messages);
	va_start(ap, format);
	vsnprintf(run->messages + used, sizeof(run->messages) - used - 1, format, ap);
	va_end(ap);
	strcat(run->messages, "\n");
}

/* ---- page by page -------------------------------------------------------------------------- */

struct comparison {
	struct run *run;
	const char *what;
	struct tally tally;
	unsigned shown;
};

/* Where the kernel has no cachestat, an answer that says less is not wrong. */
static unsigned widened(const struct run *run, unsigned answer)
{
	if (!run->setup->old_kernel || run->exact)
		return answer;
	if (answer & STATE_IN_CORE)
		answer |= STATE_PRESENT | STATE_SWAP_CACHE;
	if (answer & STATE_UNKNOWN)
		answer |= STATE_HOLE | STATE_ALLOCATED;
	return answer;
}

static void compare_run(struct comparison *c, uint64_t first, uint64_t count, unsigned expect,
			unsigned answer)
{
	unsigned wide = widened(c->run, answer), vague = STATE_UNKNOWN | STATE_IN_CORE;
	char is[96], should[96];

	if (c->run->exact && (expect & ~vague))
		expect &= ~vague;
	if (c->run->pages >= MANY_PAGES && expect == STATE_HOLE && (answer & STATE_HOLE))
		return;
	c->tally.compared += count;
	if (expect & wide) {
		if (expect & (expect - 1) || wide != answer)
			c->tally.loose += count;
		return;
	}
	c->tally.wrong += count;
	if (c->shown++ >= SHOWN)
		return;
	set_to_string(answer, is, sizeof(is));
	set_to_string(expect, should, sizeof(should));
	problem(c->run, "%s (%s): pages %" PRIu64 "+%" PRIu64 " are %s, expected %s", c->what,
		c->run->probe ? c->run->probe : "auto", first, count, is[0] ? is : "missing",
		should);
}

/* Walks the expectation beside one extent of the answer; *at is where the walk has come to. */
static void compare_extent(struct comparison *c, size_t *at, uint64_t first, uint64_t end,
			   unsigned answer)
{
	const struct extents *expect = &c->run->expect;

	while (first < end) {
		const struct extent *e;
		uint64_t until;

		while (*at < expect->count &&
		       expect->item[*at].first + expect->item[*at].count <= first)
			(*at)++;
		if (*at == expect->count) {
			compare_run(c, first, end - first, 0, answer);
			return;
		}
		e = &expect->item[*at];
		until = e->first + e->count < end ? e->first + e->count : end;
		compare_run(c, first, until - first, e->set, answer);
		first = until;
	}
}

/*
 * Compares what is said of the pages first to first + count. Unless it is partial the answer must
 * have every one of them, once, in order.
 */
void compare(struct run *run, const char *what, const struct extents *answer, uint64_t first,
	     uint64_t count, bool partial)
{
	struct comparison c = {.run = run, .what = what};
	uint64_t next = first;
	size_t at = 0, i;

	for (i = 0; i < answer->count; i++) {
		const struct extent *e = &answer->item[i];

		if (e->first < next || e->first + e->count > first + count) {
			problem(run, "%s: extent %" PRIu64 "+%" PRIu64 " is out of place", what,
				e->first, e->count);
			break;
		}
		if (!partial && e->first > next)
			compare_extent(&c, &at, next, e->first, 0);
		compare_extent(&c, &at, e->first, e->first + e->count, e->set);
		next = e->first + e->count;
	}
	if (!partial && next < first + count)
		compare_extent(&c, &at, next, first + count, 0);
	if (c.tally.wrong)
		problem(run, "%s: %" PRIu64 " of %" PRIu64 " pages wrong", what, c.tally.wrong,
			c.tally.compared);
	run->tally.compared += c.tally.compared;
	run->tally.wrong += c.tally.wrong;
	run->tally.loose += c.tally.loose;
}

/* ---- oracles ------------------------------------------------------------------------------- */

static bool load(struct run *run, const char *name, struct extents *ret)
{
	char path[128];
	const char *error;
	char *text = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", run->setup->dir, name);
	file = fopen(path, "re");
	if (!file || getdelim(&text, &size, '\0', file) < 0) {
		problem(run, "%s cannot be read", name);
		return false;
	}
	fclose(file);
	error = parse_csv(text, ret);
	free(text);
	if (error)
		problem(run, "%s: %s", name, error);
	return !error;
}

static void ask_oracle(struct run *run, const char *name, const char *file, bool partial)
{
	struct extents answer = {0};
	uint64_t wrong = run->tally.wrong;
	size_t i;

	if (!factory_command(&run->factory, "%s %s/%s", name, run->setup->dir, file)) {
		problem(run, "the factory failed at %s: %.200s", name, run->factory.line);
	} else if (load(run, file, &answer)) {
		/* on a swap that is gone, what was swapped is lost by being touched */
		for (i = 0; field_number(run->ready, "poison", 0) && i < answer.count; i++)
			if (answer.item[i].set == STATE_POISONED)
				answer.item[i].set |= STATE_SWAPPED;
		compare(run, name, &answer, 0, run->pages, partial);
	}
	extents_free(&answer);
	/* what the factory made has changed, whoever did that */
	if (run->tally.wrong > wrong)
		run->disturbed = true;
}

/* ---- what must not change ------------------------------------------------------------------ */

static bool counters(struct run *run, char *ret, size_t size)
{
	if (!factory_command(&run->factory, "counters")) {
		problem(run, "the factory gives no counters");
		return false;
	}
	snprintf(ret, size, "%s", run->factory.line);
	return true;
}

static int64_t delta(const char *before, const char *after, const char *key)
{
	return field_number(after, key, 0) - field_number(before, key, 0);
}

static void check_unchanged(struct run *run, const char *before, const char *after)
{
	static const char *const keys[] = {"st_blocks", "swapped", "majflt"};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int64_t change = delta(before, after, keys[i]);

		if (!change)
			continue;
		problem(run, "the queries changed %s by %" PRId64, keys[i], change);
		run->disturbed = true; /* if that was somebody else it does not happen again */
	}
	/* of the whole system, in which others may be at work */
	run->pswpin += delta(before, after, "pswpin");
	run->pgmajfault += delta(before, after, "pgmajfault");
	if (run->major_faults) {
		problem(run, "shmstatectl itself had %ld major faults", run->major_faults);
		run->disturbed = true; /* its own file may have been reclaimed */
	}
}

static void check_strangers(struct run *run)
{
	char who[64];
	int tries;

	/* somebody else's look at all of memory would be over soon */
	for (tries = 0; tries < 20; tries++) {
		if (!count_strangers(run->factory.pid, run->id, who, sizeof(who)))
			return;
		usleep(50000);
	}
	problem(run, "%s still holds or maps the object", who);
}

/* ---- the seeds' two cases ------------------------------------------------------------------ */

/* How many of the pages /proc/PID/pagemap calls swapped. */
static uint64_t pagemap_swapped(struct run *run, uint64_t address, long page_size)
{
	uint64_t word, page, count = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", run->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (page = 0; fd >= 0 && page < run->pages; page++)
		if (pread(fd, &word, sizeof(word), (address / page_size + page) * sizeof(word)) ==
		    sizeof(word))
			count += word >> 62 & 1;
	if (fd >= 0)
		close(fd);
	return count;
}

static void show_seed(struct run *run)
{
	uint64_t address = field_number(run->ready, "address", 0);
	char id[80], *argv[] = {(char *)run->setup->ctl, "dump", id, "--format=csv",
				"--state=swapped",       NULL};
	struct extents answer = {0};
	struct output output;

	snprintf(id, sizeof(id), "%s", run->id);
	run_program(argv, &output);
	parse_csv(output.text, &answer);
	printf("     %s: pagemap shows swapped: %" PRIu64 " of %" PRIu64 "; shmstatectl: %" PRIu64
	       " of %" PRIu64 "\n",
	       run->name, pagemap_swapped(run, address, sysconf(_SC_PAGESIZE)), run->pages,
	       extents_sum(&answer), run->pages);
	output_free(&output);
	extents_free(&answer);
}

/* ---- all of it ----------------------------------------------------------------------------- */

void check_scenario(struct run *run)
{
	char before[1024], after[1024], text[16];
	const char *ready = run->ready;

	snprintf(run->ready, sizeof(run->ready), "%s", run->factory.line);
	run->pages = field_number(ready, "pages", 0);
	run->pid = field_number(ready, "pid", 0);
	field(ready, "id", run->id, sizeof(run->id));
	if (field(ready, "states", text, sizeof(text))) {
		query_stateless(run);
		return;
	}
	if (!load(run, "expect", &run->expect) || !counters(run, before, sizeof(before)))
		return;
	query_all(run);
	if (!counters(run, after, sizeof(after)))
		return;
	check_unchanged(run, before, after);
	if (field(ready, "seed", text, sizeof(text)))
		show_seed(run);
	check_strangers(run);
	ask_oracle(run, "values", "values", false);
	ask_oracle(run, "touch", "touch", run->pages >= MANY_PAGES);
}
