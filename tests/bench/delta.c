/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What it costs to ask what has changed: against asking for all, on the same object in the same
 * run; what settling costs; and how much memory the service takes to remember.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "lib/shmstate/shmstate.h"
#include "util/util.h"

#define RUN 128 /* pages that change alike */
#define OBJECTS 100
#define OBJECT_BYTES ((uint64_t)1 << 30)
#define BLOCK 64 /* pages that the service stores alike, or page by page */
#define ANSWER_MAX 512

_Static_assert(BLOCK < RUN, "a run is longer than a block");

enum question {
	ALL_FILE,
	ALL_EXTENTS,
	ALL_BITMAP,
	DELTA_FILE,
	DELTA_EXTENTS,
	SUMMARY,
	SETTLED,
	QUESTIONS,
};

/* The part behind the selector. */
static const struct {
	const char *name;
	const char *method;
	const char *parameters;
	bool since;
	int compared_with; /* what it is to be cheaper than; -1: nothing */
} questions[QUESTIONS] = {
	[ALL_FILE] = {"all, file", "Classify", "\"encoding\":\"file_descriptor\"", false, -1},
	[ALL_EXTENTS] = {"all, extents", "Classify", "\"encoding\":\"extents\"", false, -1},
	[ALL_BITMAP] = {"all, bitmap of swapped", "Classify",
			"\"encoding\":\"bitmap\",\"states\":[\"swapped\"]", false, -1},
	[DELTA_FILE] = {"delta, file", "Classify", "\"encoding\":\"file_descriptor\"", true,
			ALL_FILE},
	[DELTA_EXTENTS] = {"delta, extents", "Classify", "\"encoding\":\"extents\"", true,
			   ALL_EXTENTS},
	[SUMMARY] = {"counts alone", "Summarize", "\"range\":null", false, -1},
	[SETTLED] = {"counts alone, settled", "Summarize", "\"settleMilliseconds\":20000", false,
		     SUMMARY},
};

enum pattern {
	SCATTERED,
	IN_RUNS,
	PATTERNS,
};

static const char *const pattern_names[PATTERNS] = {"scattered", "in runs of 128 pages"};

struct measured {
	double ms[BENCH_ROUNDS_MAX];
	uint64_t bytes;
	unsigned n;
};

struct bench {
	struct shmstate *service;
	struct bench_object object;
	unsigned rounds;
	uint64_t random;
	struct measured measured[PATTERNS][QUESTIONS];
	uint64_t limit_bits; /* thousandths of a bit a page of history */
	uint64_t history_bytes, rss_kib, rss_before_kib;
};

_Noreturn static void die(const char *what, int error)
{
	fprintf(stderr, "deltabench: %s: %s\n", what, strerror(-error));
	exit(1);
}

static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

/* ---- asking -------------------------------------------------------------------------------- */

struct reply {
	uint64_t bytes;
	char head[ANSWER_MAX]; /* of the first message */
};

static int take_reply(void *context, struct shmstate *s, const char *parameters, int continues)
{
	struct reply *reply = context;
	struct stat st;
	int fd = shmstate_take_fd(s, 0);

	(void)continues;
	if (reply->bytes == 0)
		snprintf(reply->head, sizeof(reply->head), "%s", parameters);
	reply->bytes += strlen(parameters);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0)
		reply->bytes += (uint64_t)st.st_size;
	close(fd);
	return 0;
}

/* From the call to the last reply, which is not looked at. */
static void ask(struct bench *b, enum question q, uint64_t since, struct measured *m)
{
	struct reply reply = {0};
	char parameters[256], number[48] = "", method[64];
	double start;
	int r;

	if (questions[q].since)
		snprintf(number, sizeof(number), ",\"since\":%" PRIu64, since);
	snprintf(parameters, sizeof(parameters), "{\"selector\":{\"passedFileDescriptor\":0},%s%s}",
		 questions[q].parameters, number);
	snprintf(method, sizeof(method), "io.shmstate.%s", questions[q].method);
	start = bench_now_ms();
	r = shmstate_call_more(b->service, method, parameters, &b->object.fd, 1, take_reply,
			       &reply);
	if (r < 0)
		die(shmstate_error_name(b->service) ? shmstate_error_name(b->service) : method, r);
	if (q == SETTLED && !strstr(reply.head, "\"settled\":true"))
		die("a halted object does not settle", -EBUSY);
	m->ms[m->n++] = bench_now_ms() - start;
	m->bytes = reply.bytes;
}

/* A number in an answer, within an object of it or (NULL) not. */
static uint64_t call_for_number(struct bench *b, const char *method, int fd, const char *group,
				const char *name)
{
	struct json_object *j, *inner, *value = NULL;
	const char *reply;
	uint64_t number;
	int r = shmstate_call(b->service, method,
			      fd < 0 ? NULL : "{\"selector\":{\"passedFileDescriptor\":0}}", &fd,
			      fd >= 0, &reply);

	if (r < 0)
		die(method, r);
	j = inner = json_tokener_parse(reply);
	if (group && !json_object_object_get_ex(j, group, &inner))
		die(group, -EBADMSG);
	if (!json_object_object_get_ex(inner, name, &value))
		die(name, -EBADMSG);
	number = json_object_get_uint64(value);
	json_object_put(j);
	return number;
}

static uint64_t look(struct bench *b, int fd)
{
	return call_for_number(b, "io.shmstate.Summarize", fd, NULL, "generation");
}

/* ---- deltas -------------------------------------------------------------------------------- */

/* Of every hundred pages one: what is swapped comes in, what is not goes out. */
static void change(struct bench *b, enum pattern pattern)
{
	struct bench_object *o = &b->object;
	uint64_t run = pattern == SCATTERED ? 1 : RUN, n = o->pages / 100 / run;

	for (; n > 0; n--) {
		uint64_t first = next_random(b) % (o->pages / run) * run;
		unsigned char core = 0;

		if (run == 1 &&
		    mincore(o->address + first * o->page_size, o->page_size, &core) == 0 &&
		    !(core & 1))
			bench_fill(o, first, 1);
		else
			bench_page_out(o, first, run);
	}
}

static void compare(struct bench *b, enum pattern pattern)
{
	/* Before each question so much has changed: what a new generation costs is in all of them.
	 */
	for (unsigned round = 0; round < b->rounds; round++)
		for (int q = 0; q < QUESTIONS; q++) {
			uint64_t since = look(b, b->object.fd);

			change(b, pattern);
			ask(b, (enum question)q, since, &b->measured[pattern][q]);
		}
}

static int make_third(struct bench_object *o, uint64_t bytes)
{
	int r = bench_object_make(o, bytes);

	if (r == 0)
		r = bench_layout_find("present")->make(o);
	return r < 0 ? r : bench_layout_find("third")->make(o);
}

/* ---- memory -------------------------------------------------------------------------------- */

static uint64_t rss_kib(uint64_t pid)
{
	char path[64], line[128];
	uint64_t kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* The worst there can be: in no block are all pages in one state. One page of each is enough. */
static int make_worst(struct bench_object *o)
{
	int r = bench_object_make(o, OBJECT_BYTES);

	for (uint64_t page = 0; r == 0 && page < o->pages; page += BLOCK)
		bench_fill(o, page, 1);
	return r;
}

static void measure_memory(struct bench *b)
{
	static struct bench_object objects[OBJECTS];
	uint64_t pid = call_for_number(b, "io.shmstate.GetStatus", -1, NULL, "pid");
	uint64_t before = call_for_number(b, "io.shmstate.GetStatus", -1, "history", "bytes");
	int r = 0, n = 0;

	b->rss_before_kib = rss_kib(pid);
	for (; n < OBJECTS && r == 0; n++) {
		r = make_worst(&objects[n]);
		if (r == 0 && look(b, objects[n].fd) == 0)
			die("a generation is not kept", -ENOSPC);
	}
	if (r < 0)
		die("objects for the history", r);
	b->rss_kib = rss_kib(pid);
	b->history_bytes =
		call_for_number(b, "io.shmstate.GetStatus", -1, "history", "bytes") - before;
	b->limit_bits = b->history_bytes * 8 * 1000 / (OBJECTS * objects[0].pages);
	while (n > 0)
		bench_object_done(&objects[--n]);
}

/* ---- results ------------------------------------------------------------------------------- */

static double quartile(const struct measured *m, double share)
{
	return m->ms[(unsigned)((double)(m->n - 1) * share + 0.5)];
}

static void report_text(struct bench *b, FILE *f)
{
	fprintf(f,
		"\nWhat has changed, of an object of %" PRIu64
		" MiB, every third page swapped, 1%% of its pages changed\n"
		"(medians of %u rounds, with quartiles; from the call to the last reply)\n",
		b->object.pages * b->object.page_size >> 20, b->rounds);
	for (int p = 0; p < PATTERNS; p++) {
		fprintf(f, "\n%-24s %10s %21s %12s %8s %8s\n", pattern_names[p], "ms", "quartiles",
			"bytes", "time", "bytes");
		for (int q = 0; q < QUESTIONS; q++) {
			const struct measured *m = &b->measured[p][q], *all = NULL;

			if (questions[q].compared_with >= 0)
				all = &b->measured[p][questions[q].compared_with];
			fprintf(f, "%-24s %10.2f %10.2f %10.2f %12" PRIu64, questions[q].name,
				quartile(m, 0.5), quartile(m, 0.25), quartile(m, 0.75), m->bytes);
			if (all)
				fprintf(f, " %7.2fx %7.3fx", quartile(m, 0.5) / quartile(all, 0.5),
					(double)m->bytes / (double)all->bytes);
			fputc('\n', f);
		}
	}
	fprintf(f,
		"\n%d objects of 1 GiB, in no block of %d pages one state: history of %" PRIu64
		" KiB, %.3f bits a page;\nthe service has %" PRIu64 " KiB in RAM, %" PRIu64
		" before\n",
		OBJECTS, BLOCK, b->history_bytes >> 10, (double)b->limit_bits / 1e3, b->rss_kib,
		b->rss_before_kib);
}

static void report_json(struct bench *b, FILE *f)
{
	fprintf(f, "{\"pages\":%" PRIu64 ",\"rounds\":%u,\"deltas\":[", b->object.pages, b->rounds);
	for (int p = 0; p < PATTERNS; p++)
		for (int q = 0; q < QUESTIONS; q++) {
			const struct measured *m = &b->measured[p][q];

			fprintf(f,
				"%s\n{\"changes\":\"%s\",\"question\":\"%s\",\"ms\":%.3f,"
				"\"quartiles\":[%.3f,%.3f],\"bytes\":%" PRIu64 "}",
				p + q > 0 ? "," : "", pattern_names[p], questions[q].name,
				quartile(m, 0.5), quartile(m, 0.25), quartile(m, 0.75), m->bytes);
		}
	fprintf(f,
		"],\n\"history\":{\"objects\":%d,\"bytes\":%" PRIu64
		",\"bitsPerPage\":%.3f,\"rssKiB\":%" PRIu64 ",\"rssBeforeKiB\":%" PRIu64 "}}\n",
		OBJECTS, b->history_bytes, (double)b->limit_bits / 1e3, b->rss_kib,
		b->rss_before_kib);
}

static void report(struct bench *b, const char *text_path, const char *json_path)
{
	FILE *text = fopen(text_path, "we"), *json = fopen(json_path, "we");

	if (!text || !json)
		die(text ? json_path : text_path, -errno);
	for (int p = 0; p < PATTERNS; p++)
		for (int q = 0; q < QUESTIONS; q++)
			bench_median(b->measured[p][q].ms, b->measured[p][q].n); /* sorts */
	report_text(b, text);
	report_json(b, json);
	if (fclose(text) != 0 || fclose(json) != 0)
		die(text_path, -errno);
}

int main(int argc, char *argv[])
{
	struct bench b = {.object = {.fd = -1}, .random = 88172645463325252u};
	uint64_t mib, rounds;
	int r;

	if (argc != 5 || parse_u64(argv[1], 10, &mib) < 0 || mib == 0 ||
	    parse_u64(argv[2], 10, &rounds) < 0 || rounds == 0 || rounds > BENCH_ROUNDS_MAX) {
		fputs("Usage: deltabench SIZE-MiB ROUNDS TABLE-FILE JSON-FILE\n", stderr);
		return 2;
	}
	b.rounds = (unsigned)rounds;
	r = shmstate_open(getenv("SHMSTATE_BENCH_SOCKET"), &b.service);
	if (r < 0)
		die("the service", r);
	measure_memory(&b);
	r = make_third(&b.object, mib << 20);
	if (r < 0)
		die("the object", r);
	for (int p = 0; p < PATTERNS; p++)
		compare(&b, (enum pattern)p);
	report(&b, argv[3], argv[4]);
	bench_object_done(&b.object);
	shmstate_close(b.service);
	return 0;
}
