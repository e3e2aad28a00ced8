// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What shmstatectl is asked about an object, in all the ways in which it can be asked.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

enum {
	EXIT_INCOMPLETE = 3,
	MAX_ARGUMENTS = 16,
};

/* Appends words to the program's name and runs it. A string may have several, but no blanks. */
static void ask(struct run *run, struct output *ret, const char *words, const char *more)
{
	char text[512], *argv[MAX_ARGUMENTS + 1], *save = NULL, *word;
	size_t count = 0;

	snprintf(text, sizeof(text), "%s%s%s", words, run->probe ? " --probe=" : "",
		 run->probe ? run->probe : "");
	argv[count++] = (char *)run->setup->ctl;
	for (word = strtok_r(text, " ", &save); word && count < MAX_ARGUMENTS - 1;
	     word = strtok_r(NULL, " ", &save))
		argv[count++] = word;
	if (more)
		argv[count++] = (char *)more;
	argv[count] = NULL;
	run_program(argv, ret);
	run->major_faults += ret->major_faults;
}

/*
 * Incomplete is an answer only where pages are expected that cannot be determined; or when all
 * processes are looked at and there is one that even root may not read, as init can be in a
 * container.
 */
static bool answered(struct run *run, const char *what, const struct output *output)
{
	bool unknown = extents_pages(&run->expect, STATE_UNKNOWN) || run->setup->old_kernel;
	bool barred = !strncmp(what, "show ", 5) && strstr(output->errors, "want of privilege");

	if (!output->code || (output->code == EXIT_INCOMPLETE && (unknown || barred)))
		return true;
	problem(run, "%s: exit status %d: %s", what, output->code, output->errors);
	return false;
}

static void ask_csv(struct run *run, const char *words, const char *more)
{
	struct extents answer = {0};
	struct output output;
	const char *error;

	ask(run, &output, words, more);
	error = parse_csv(output.text, &answer);
	if (answered(run, words, &output) && error)
		problem(run, "%s: %s", words, error);
	else if (!error)
		compare(run, words, &answer, 0, run->pages, false);
	if (!error && extents_sum(&answer) != run->pages)
		problem(run, "%s: the counts add up to %" PRIu64 " of %" PRIu64 " pages", words,
			extents_sum(&answer), run->pages);
	output_free(&output);
	extents_free(&answer);
}

static void ask_json(struct run *run, const char *selector)
{
	struct extents answer = {0};
	struct output output;
	const char *error;
	char words[256];

	snprintf(words, sizeof(words), "dump %s --format=json", selector);
	ask(run, &output, words, NULL);
	error = parse_json(output.text, &answer);
	if (answered(run, words, &output) && error)
		problem(run, "%s: %s", words, error);
	else if (!error)
		compare(run, words, &answer, 0, run->pages, false);
	output_free(&output);
	extents_free(&answer);
}

static void ask_bitmap(struct run *run, const char *selector, const char *states, unsigned set)
{
	struct extents answer = {0};
	struct output output;
	const char *error;
	char words[256];

	snprintf(words, sizeof(words), "dump %s --format=bitmap --state=%s", selector, states);
	ask(run, &output, words, NULL);
	error = parse_bitmap(output.text, output.size, run->pages, set, &answer);
	if (answered(run, words, &output) && error)
		problem(run, "%s: %s (%zu bytes)", words, error, output.size);
	else if (!error)
		compare(run, words, &answer, 0, run->pages, false);
	output_free(&output);
	extents_free(&answer);
}

/* One state alone, and a part from the middle. */
static void ask_parts(struct run *run, const char *selector)
{
	uint64_t first = run->pages / 3, count = run->pages / 5;
	struct extents answer = {0};
	struct output output;
	char words[256];

	snprintf(words, sizeof(words), "dump %s --format=csv --state=swapped", selector);
	ask(run, &output, words, NULL);
	if (answered(run, words, &output) && !parse_csv(output.text, &answer))
		compare(run, words, &answer, 0, run->pages, true);
	output_free(&output);
	extents_free(&answer);
	if (!count)
		return;
	snprintf(words, sizeof(words), "dump %s --format=csv --range=%" PRIu64 "+%" PRIu64,
		 selector, first, count);
	ask(run, &output, words, NULL);
	if (answered(run, words, &output) && !parse_csv(output.text, &answer))
		compare(run, words, &answer, first, count, false);
	output_free(&output);
	extents_free(&answer);
}

/* ---- texts --------------------------------------------------------------------------------- */

static bool contains(struct run *run, const char *what, const struct output *output,
		     const char *text)
{
	if (strstr(output->text, text))
		return true;
	problem(run, "%s does not say %s", what, text);
	return false;
}

static const char *kind_of(const char *ready, char *buffer, size_t size)
{
	field(ready, "kind", buffer, size);
	/* a deleted file is a tmpfs file */
	return strcmp(buffer, "deleted") ? buffer : "tmpfs";
}

/* The numbers in "counts" of show, which must be those of the expectation where it is strict. */
static void check_counts(struct run *run, const struct output *output)
{
	static const char *const names[] = {"hole",    "allocated", "present", "swap_cache",
					    "swapped", "poisoned",  "in_core", "unknown"};
	const char *counts = strstr(output->text, "\"counts\"");
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; counts && i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t value, most = extents_pages(&run->expect, 1u << i);
		char key[32];
		const char *at;

		snprintf(key, sizeof(key), "\"%s\":", names[i]);
		at = strstr(counts, key);
		if (!at)
			continue;
		value = strtoull(at + strlen(key), NULL, 10);
		sum += value;
		if (value > most && !run->setup->old_kernel)
			problem(run, "show counts %" PRIu64 " pages %s, expected %" PRIu64, value,
				names[i], most);
	}
	if (!counts || sum != run->pages)
		problem(run, "show's counts add up to %" PRIu64 " of %" PRIu64 " pages", sum,
			run->pages);
}

static void ask_texts(struct run *run, const char *selector, const char *ready)
{
	char words[256], buffer[32], kind[64];
	struct output output;

	snprintf(kind, sizeof(kind), "\"%s\"", kind_of(ready, buffer, sizeof(buffer)));
	snprintf(words, sizeof(words), "show %s --json=short", selector);
	ask(run, &output, words, NULL);
	if (answered(run, words, &output) && contains(run, words, &output, kind) &&
	    contains(run, words, &output, run->id))
		check_counts(run, &output);
	output_free(&output);

	snprintf(words, sizeof(words), "show %s", selector);
	ask(run, &output, words, NULL);
	if (answered(run, words, &output))
		contains(run, words, &output, run->id);
	output_free(&output);

	snprintf(words, sizeof(words), "list --pid=%d --json=short", run->pid);
	ask(run, &output, words, NULL);
	if (answered(run, words, &output) && contains(run, words, &output, run->id))
		contains(run, words, &output, kind);
	output_free(&output);
}

/* ---- a process's view ---------------------------------------------------------------------- */

/* A private copy is what pagemap itself says it is: swapped, or in core and not of a file. */
static void expect_copies(struct run *run, const char *ready, struct extents *ret)
{
	uint64_t address = field_number(ready, "private", 0), page, word;
	uint64_t copies = field_number(ready, "copies", 0);
	char path[64];
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", run->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (page = 0; page < copies; page++) {
		if (pread(fd, &word, sizeof(word),
			  (address / sysconf(_SC_PAGESIZE) + page) * sizeof(word)) != sizeof(word))
			problem(run, "pagemap of %d cannot be read", run->pid);
		extents_add(ret, page, 1,
			    word >> 62 & 1 ? STATE_PRIVATE_SWAPPED : STATE_PRIVATE_PRESENT);
	}
	if (fd >= 0)
		close(fd);
	for (i = 0; i < run->expect.count; i++) {
		const struct extent *e = &run->expect.item[i];
		uint64_t end = e->first + e->count, from = e->first > copies ? e->first : copies;

		if (end > from)
			extents_add(ret, from, end - from, e->set);
	}
}

/* Rows by address, of which those within the object's mapping are compared. */
static void ask_pagemap(struct run *run, const char *ready)
{
	static const char *const columns[] = {"start", "pages", "state"};
	uint64_t address = field_number(ready, "address", 0), page_size = sysconf(_SC_PAGESIZE);
	struct extents rows = {0}, answer = {0}, object = run->expect, copies = {0};
	struct output output;
	const char *error;
	char words[96];
	size_t i;

	snprintf(words, sizeof(words), "pagemap --pid=%d --format=csv", run->pid);
	ask(run, &output, words, NULL);
	error = parse_csv_columns(output.text, columns, 16, &rows);
	if (answered(run, words, &output) && error)
		problem(run, "%s: %s", words, error);
	for (i = 0; i < rows.count; i++)
		if (rows.item[i].first >= address &&
		    rows.item[i].first < address + run->pages * page_size)
			extents_add(&answer, (rows.item[i].first - address) / page_size,
				    rows.item[i].count, rows.item[i].set);
	if (field_number(ready, "copies", 0)) {
		expect_copies(run, ready, &copies);
		run->expect = copies;
	}
	if (!error)
		compare(run, words, &answer, 0, run->pages, false);
	run->expect = object;
	output_free(&output);
	extents_free(&rows);
	extents_free(&answer);
	extents_free(&copies);
}

/* ---- selectors ------------------------------------------------------------------------------- */

/* Two objects are meant: an error that lists both, never one of them. */
static void ask_ambiguous(struct run *run, const char *words)
{
	struct output output;

	ask(run, &output, words, NULL);
	if (output.code != 1 || output.size)
		problem(run, "%s names two objects, but exit status is %d, with %zu bytes", words,
			output.code, output.size);
	output_free(&output);
}

static void ask_by_all(struct run *run, const char *ready, char *ret_selector, size_t size)
{
	int64_t fd = field_number(ready, "fd", -1), address = field_number(ready, "address", 0);
	char words[256], text[200];

	if (address) {
		snprintf(ret_selector, size, "--pid=%d --address=0x%" PRIx64, run->pid, address);
		snprintf(words, sizeof(words), "dump %s --format=csv", ret_selector);
		ask_csv(run, words, NULL);
	}
	if (run->setup->brief && ret_selector[0])
		return;
	if (fd >= 0) {
		snprintf(ret_selector, size, "--pid=%d --fd=%d", run->pid, (int)fd);
		snprintf(words, sizeof(words), "dump %s --format=csv", ret_selector);
		ask_csv(run, words, NULL);
	}
	snprintf(words, sizeof(words), "dump %s --format=csv", run->id);
	if (field_number(ready, "byid", 1))
		ask_csv(run, words, NULL);
	else
		ask_ambiguous(run, words);
	if (field(ready, "path", text + 7, sizeof(text) - 7)) {
		memcpy(text, "--path=", 7);
		ask_csv(run, "dump --format=csv", text);
	}
	if (field_number(ready, "twin", -1) >= 0)
		ask_ambiguous(run, "dump --name=shmfactory");
}

static void query_probe(struct run *run, const char *probe)
{
	const char *ready = run->ready;
	char selector[128] = "";

	run->probe = probe;
	run->exact = strcmp(probe, "portable") != 0;

	ask_by_all(run, ready, selector, sizeof(selector));
	ask_json(run, selector);
	if (!run->setup->brief) {
		ask_bitmap(run, selector, "swapped,swap_cache", STATE_SWAPPED | STATE_SWAP_CACHE);
		ask_bitmap(run, selector, "hole", STATE_HOLE);
		ask_parts(run, selector);
		ask_texts(run, selector, ready);
	}
	if (field_number(ready, "address", 0))
		ask_pagemap(run, ready);
}

/* One question, where each takes long. */
static void query_briefly(struct run *run, const char *probe)
{
	int64_t fd = field_number(run->ready, "fd", -1);
	char words[256];

	run->probe = probe;
	run->exact = strcmp(probe, "portable") != 0;

	if (fd >= 0)
		snprintf(words, sizeof(words), "dump --pid=%d --fd=%d --format=csv", run->pid,
			 (int)fd);
	else
		snprintf(words, sizeof(words), "dump --pid=%d --address=0x%" PRIx64 " --format=csv",
			 run->pid, field_number(run->ready, "address", 0));
	ask_csv(run, words, NULL);
	if (!run->exact && field_number(run->ready, "address", 0))
		ask_pagemap(run, run->ready);
}

/* Both probes together: what they do not agree about, unexplained, is an error of one of them. */
static void ask_to_verify(struct run *run)
{
	char words[256];

	run->probe = "verify";
	run->exact = true;
	snprintf(words, sizeof(words), "dump %s --format=csv", run->id);
	if (field_number(run->ready, "byid", 1))
		ask_csv(run, words, NULL);
}

void query_all(struct run *run)
{
	void (*query)(struct run *, const char *) = run->setup->brief ? query_briefly : query_probe;

	query(run, "portable");
	if (run->setup->walk) {
		query(run, "walk");
		ask_to_verify(run);
	}
	run->probe = NULL;
	run->exact = false;
}

/* Kinds that are listed as what they are, and of whose pages nothing is claimed. */
void query_stateless(struct run *run)
{
	char words[256], kind[64], buffer[32];
	struct output output;

	snprintf(kind, sizeof(kind), "\"%s\"", kind_of(run->ready, buffer, sizeof(buffer)));
	snprintf(words, sizeof(words), "list --pid=%d --json=short", run->pid);
	ask(run, &output, words, NULL);
	if (answered(run, words, &output) && contains(run, words, &output, run->id))
		contains(run, words, &output, kind);
	output_free(&output);

	snprintf(words, sizeof(words), "show --pid=%d --fd=%d --json=short", run->pid,
		 (int)field_number(run->ready, "fd", -1));
	ask(run, &output, words, NULL);
	if (answered(run, words, &output))
		contains(run, words, &output, kind);
	output_free(&output);

	snprintf(words, sizeof(words), "dump --pid=%d --fd=%d --format=csv", run->pid,
		 (int)field_number(run->ready, "fd", -1));
	ask(run, &output, words, NULL);
	if (!output.code || output.size || !output.errors[0])
		problem(run, "%s: exit status %d and %zu bytes; an error with a reason is due",
			words, output.code, output.size);
	output_free(&output);
}
