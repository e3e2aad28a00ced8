/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "loadgen.h"
#include "lib/shmstate/map.h"

#define SHOWN 20

const char *const kind_names[ASK_KINDS] = {"Summarize",   "Classify extents", "Classify bitmap",
					   "Classify fd", "GetStatus",        "ListObjects"};

/* ---- calls --------------------------------------------------------------------------------- */

void question_random(struct question *q, enum kind kind, struct object *o)
{
	*q = (struct question){.kind = kind, .asked = now_ns()};
	q->more = kind == ASK_LIST || (kind == ASK_EXTENTS && random() % 2);
	if (kind >= ASK_STATUS)
		return;
	q->object = o;
	q->count = o->n_pages;
	if (random() % 2) {
		q->first = (uint64_t)random() % o->n_pages;
		q->count = 1 + (uint64_t)random() % (o->n_pages - q->first);
	}
	q->next = q->first;
	q->passes = random() % 3 == 0;
}

static int format_selector(const struct question *q, char *text, size_t size)
{
	const struct object *o = q->object;

	if (q->passes)
		return snprintf(text, size, "{\"passedFileDescriptor\":0}");
	if (random() % 2)
		return snprintf(text, size, "{\"id\":\"%02x:%02x:%llu\"}", major(o->dev),
				minor(o->dev), (unsigned long long)o->inode);
	return snprintf(text, size, "{\"pid\":%d,\"fileDescriptor\":%d}", getpid(), o->number);
}

char *question_format(const struct question *q, size_t *ret_length)
{
	static const char *const encoding[] = {[ASK_EXTENTS] = "",
					       [ASK_BITMAP] = ",\"encoding\":\"bitmap\",\"states\":"
							      "[\"swapped\",\"swap_cache\"]",
					       [ASK_DESCRIPTOR] =
						       ",\"encoding\":\"file_descriptor\""};
	const char *more = q->more ? ",\"more\":true" : "";
	char selector[128] = "", range[96] = "", *text;
	int n;

	if (q->object) {
		format_selector(q, selector, sizeof(selector));
		if (q->first > 0 || q->count < q->object->n_pages)
			snprintf(range, sizeof(range), ",\"range\":{\"first\":%llu,\"count\":%llu}",
				 (unsigned long long)q->first, (unsigned long long)q->count);
	}
	if (q->kind == ASK_STATUS)
		n = asprintf(&text, "{\"method\":\"io.shmstate.GetStatus\"}");
	else if (q->kind == ASK_LIST)
		n = asprintf(&text,
			     "{\"method\":\"io.shmstate.ListObjects\"%s,\"parameters\":{"
			     "\"selector\":{\"pid\":%d}}}",
			     more, getpid());
	else
		n = asprintf(
			&text,
			"{\"method\":\"io.shmstate.%s\"%s,\"parameters\":{\"selector\":%s%s%s}}",
			q->kind == ASK_SUMMARIZE ? "Summarize" : "Classify", more, selector, range,
			q->kind == ASK_SUMMARIZE ? "" : encoding[q->kind]);
	if (n < 0)
		die("out of memory");
	*ret_length = (size_t)n + 1;
	return text;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* What the answer looked at last has wrong. */
static const char *wrong;

static bool complain(const char *what)
{
	wrong = what;
	return false;
}

static void show_known(const struct object *o, uint64_t first, uint64_t count)
{
	printf("  known%s: %llu holes, %llu in core, %llu out\n",
	       o->died ? " of what has gone" : "",
	       (unsigned long long)object_count(o, first, count, KNOWN_HOLE),
	       (unsigned long long)object_count(o, first, count, KNOWN_IN_CORE),
	       (unsigned long long)object_count(o, first, count, KNOWN_OUT));
}

static enum verdict show_wrong(const struct question *q, struct json_object *reply)
{
	static unsigned n_shown;

	if (n_shown++ >= SHOWN)
		return ANSWER_WRONG;
	printf("WRONG %s: %s: pages %llu+%llu, %.600s\n", kind_names[q->kind], wrong,
	       (unsigned long long)q->first, (unsigned long long)q->count,
	       json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
	if (q->object)
		show_known(q->object, q->first, q->count);
	return ANSWER_WRONG;
}

static int64_t number(struct json_object *in, const char *name)
{
	struct json_object *j;

	if (!json_object_object_get_ex(in, name, &j) || !json_object_is_type(j, json_type_int))
		return -1;
	return json_object_get_int64(j);
}

static const char *string(struct json_object *in, const char *name)
{
	struct json_object *j;

	return json_object_object_get_ex(in, name, &j) && j ? json_object_get_string(j) : "";
}

static struct json_object *field(struct json_object *in, const char *name)
{
	struct json_object *j = NULL;

	json_object_object_get_ex(in, name, &j);
	return j;
}

/* What a state of the interface says. */
static unsigned known_of(const char *state)
{
	if (strcmp(state, "hole") == 0)
		return KNOWN_HOLE;
	if (strcmp(state, "present") == 0 || strcmp(state, "in_core") == 0)
		return KNOWN_IN_CORE;
	if (strcmp(state, "swapped") == 0 || strcmp(state, "swap_cache") == 0)
		return KNOWN_OUT;
	return 0;
}

static bool counts_fit(const struct question *q, struct json_object *counts)
{
	int64_t hole = number(counts, "hole");
	int64_t in_core = number(counts, "present") + number(counts, "in_core");
	int64_t out = number(counts, "swapped") + number(counts, "swap_cache");
	uint64_t first = q->first, count = q->count;
	int64_t in_core_least = (int64_t)object_count(q->object, first, count, KNOWN_IN_CORE);
	int64_t out_least = (int64_t)object_count(q->object, first, count, KNOWN_OUT);

	return hole == (int64_t)object_count(q->object, first, count, KNOWN_HOLE) &&
	       in_core >= in_core_least && out >= out_least &&
	       (uint64_t)(hole + in_core + out) == count;
}

static bool is_run(const struct question *q, uint64_t first, uint64_t count, unsigned known)
{
	uint64_t i;

	if (first < q->first || count == 0 || first + count > q->first + q->count)
		return false;
	for (i = first; i < first + count; i++)
		if (!(q->object->known[i] & known))
			return false;
	return true;
}

static bool extents_fit(struct question *q, struct json_object *extents)
{
	size_t i, n = json_object_is_type(extents, json_type_array)
			      ? json_object_array_length(extents)
			      : 0;

	for (i = 0; i < n; i++) {
		struct json_object *e = json_object_array_get_idx(extents, i);
		uint64_t first = (uint64_t)number(e, "first"), count = (uint64_t)number(e, "count");

		if (first != q->next || !is_run(q, first, count, known_of(string(e, "state"))))
			return false;
		q->next += count;
	}
	return n > 0;
}

static bool decode(const char *text, uint8_t *bytes, size_t n)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, n_bits = 0;
	size_t i = 0;

	for (; *text && *text != '='; text++) {
		const char *at = strchr(letters, *text);

		if (!at)
			return false;
		bits = bits << 6 | (unsigned)(at - letters);
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			if (i == n)
				return false;
			bytes[i++] = (uint8_t)(bits >> n_bits);
		}
	}
	return i == n;
}

static bool bitmap_fits(struct question *q, const char *text, uint64_t next)
{
	uint64_t n_pages = next - q->next, n = (n_pages + 7) / 8, i;
	uint8_t *bytes = calloc(1, n + 1);
	bool good = bytes && decode(text, bytes, n);

	for (i = 0; good && i < n_pages; i++)
		good = q->object->known[q->next + i] &
		       (bytes[i / 8] >> (i % 8) & 1 ? KNOWN_OUT : ~KNOWN_OUT);
	free(bytes);
	q->next = next;
	return good;
}

static unsigned known_by_number(unsigned state)
{
	static const unsigned known[SHMSTATE_STATES] = {[SHMSTATE_HOLE] = KNOWN_HOLE,
							[SHMSTATE_PRESENT] = KNOWN_IN_CORE,
							[SHMSTATE_IN_CORE] = KNOWN_IN_CORE,
							[SHMSTATE_SWAP_CACHE] = KNOWN_OUT,
							[SHMSTATE_SWAPPED] = KNOWN_OUT};

	return state < SHMSTATE_STATES ? known[state] : 0;
}

static bool segment_fits(struct question *q, const char *map, const struct shmstate_map_header *h,
			 const struct shmstate_map_segment *s)
{
	const struct shmstate_map_block *blocks = (const void *)(map + h->blocks);
	uint64_t page, end = (s->first + s->count) * 64;

	for (page = s->first * 64; page < end; page++) {
		unsigned state = s->state, bit = page % 64;

		if (page < q->first || page >= q->first + q->count)
			continue;
		if (s->block != SHMSTATE_MAP_UNIFORM) {
			const uint64_t *plane = blocks[s->block + page / 64 - s->first].plane;

			state = (unsigned)((plane[0] >> bit & 1) | (plane[1] >> bit & 1) << 1 |
					   (plane[2] >> bit & 1) << 2);
		}
		if (page != q->next++ || !(q->object->known[page] & known_by_number(state)))
			return false;
	}
	return true;
}

static bool map_fits(struct question *q, const char *map, size_t size)
{
	const struct shmstate_map_header *h = (const void *)map;
	const struct shmstate_map_segment *s = (const void *)(map + h->segments);
	uint64_t i;

	if (h->magic != SHMSTATE_MAP_MAGIC || h->version != SHMSTATE_MAP_VERSION ||
	    h->size > size || h->first != q->first || h->count != q->count ||
	    h->object_size != q->object->n_pages * page_size)
		return false;
	for (i = 0; i < h->n_segments; i++)
		if (!segment_fits(q, map, h, &s[i]))
			return false;
	return q->next == q->first + q->count;
}

static bool descriptor_fits(struct question *q, int64_t index, const int *fds, size_t n_fds)
{
	struct stat st;
	bool good = false;
	char *map;
	int fd;

	if (index != 0 || n_fds == 0)
		return false;
	fd = fds[0];
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(struct shmstate_map_header)) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED) {
			good = map_fits(q, map, (size_t)st.st_size);
			munmap(map, (size_t)st.st_size);
		}
	}
	return good;
}

/* The one that belongs to this reply. */
static void drop_descriptor(struct json_object *p, int *fds, size_t *n_fds)
{
	if (number(p, "fileDescriptor") != 0 || *n_fds == 0)
		return;
	close(fds[0]);
	memmove(fds, fds + 1, --*n_fds * sizeof(*fds));
}

static bool object_is(const struct question *q, struct json_object *p)
{
	const char *id = string(p, "object"), *inode = strrchr(id, ':');

	return inode && strtoull(inode + 1, NULL, 10) == q->object->inode;
}

static bool is_classified(struct question *q, struct json_object *p, const int *fds, size_t n_fds,
			  bool final)
{
	int64_t next = number(p, "next");
	uint64_t end = q->first + q->count;

	if ((uint64_t)number(p, "first") != q->next)
		return complain("first is not what was next");
	if (q->kind == ASK_EXTENTS && !extents_fit(q, field(p, "extents")))
		return complain("extents");
	if (q->kind == ASK_BITMAP &&
	    !bitmap_fits(q, string(p, "bitmap"), next < 0 ? end : (uint64_t)next))
		return complain("bitmap");
	if (q->kind == ASK_DESCRIPTOR &&
	    !descriptor_fits(q, number(p, "fileDescriptor"), fds, n_fds))
		return complain("what the descriptor holds");
	if (q->next != (next < 0 ? end : (uint64_t)next) || (final && q->more && q->next != end))
		return complain("not all pages");
	return true;
}

/* Objects that were there all the time must be listed; others may be. */
static bool is_listed(struct question *q, struct json_object *p, bool final)
{
	struct json_object *list = field(p, "objects");
	size_t i,
		n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	unsigned n_least = 0;
	struct object *o;

	for (i = 0; i < n; i++) {
		const char *id = string(json_object_array_get_idx(list, i), "object");
		const char *inode = strrchr(id, ':');

		o = inode ? object_find(strtoull(inode + 1, NULL, 10)) : NULL;
		q->n_listed += o && o->born < q->asked && !o->died;
	}
	if (!final)
		return true;
	for (o = objects(); o; o = o->older)
		n_least += o->born < q->asked && !o->died;
	return q->n_listed >= n_least || complain("an object is missing");
}

static bool is_right(struct question *q, struct json_object *p, const int *fds, size_t n_fds,
		     bool final)
{
	if (q->kind == ASK_STATUS)
		return number(p, "uptimeSeconds") >= 0 || complain("no status");
	if (q->kind == ASK_LIST)
		return is_listed(q, p, final);
	if (!object_is(q, p))
		return complain("another object");
	if (!counts_fit(q, field(p, "counts")))
		return complain("counts");
	return q->kind == ASK_SUMMARIZE || is_classified(q, p, fds, n_fds, final);
}

/* Is it an error that comes of the load, and of nothing that was wrong with the call? */
static enum verdict judge_error(const struct question *q, const char *error,
				struct json_object *reply)
{
	static const char *const refusals[] = {"TooBusy", "ScanTimedOut", "Stopping"};
	static unsigned n_shown;
	const char *name = strrchr(error, '.') ? strrchr(error, '.') + 1 : error;
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strcmp(name, refusals[i]) == 0) {
			if (n_shown++ == 0)
				printf("Refused, the first: %s\n",
				       json_object_to_json_string(reply));
			return ANSWER_REFUSED;
		}
	if (q->object && q->object->died && !q->passes && strcmp(name, "NoSuchObject") == 0)
		return ANSWER_GONE;
	complain("an error");
	return show_wrong(q, reply);
}

/*
 * Somebody else may have had the pages moved: an answer that does not fit is looked at again with
 * what the kernel says of them now. Only if it fits then is it excused; what moved may be called
 * either from now on, so one answer is excused for each page at most.
 */
static enum verdict judge(struct question *q, struct json_object *p, struct json_object *reply,
			  const int *fds, size_t n_fds, bool final)
{
	struct question before = *q;

	if (is_right(q, p, fds, n_fds, final))
		return ANSWER_RIGHT;
	if (q->object && object_refresh(q->object) > 0) {
		*q = before;
		if (is_right(q, p, fds, n_fds, final))
			return ANSWER_MOVED;
	}
	return show_wrong(q, reply);
}

enum verdict question_judge(struct question *q, struct json_object *reply, int *fds, size_t *n_fds,
			    bool *ret_final)
{
	const char *error = string(reply, "error");
	struct json_object *p = field(reply, "parameters");
	enum verdict verdict;

	*ret_final = !json_object_get_boolean(field(reply, "continues"));
	if (*error)
		return judge_error(q, error, reply);
	if (!*ret_final && !q->more) {
		complain("continues");
		return show_wrong(q, reply);
	}
	verdict = judge(q, p, reply, fds, *n_fds, *ret_final);
	drop_descriptor(p, fds, n_fds);
	return verdict;
}
