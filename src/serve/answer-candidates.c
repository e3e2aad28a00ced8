/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json/encode.h"
#include "serve/answer-inside.h"
#include "track/candidates.h"
#include "util/util.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/* {"first":...,"count":...,"address":...} and a comma, with numbers of 19 digits; of the other,
 * too. */
#define RANGE_BYTES 100
#define EXTENT_BYTES 120

/* What of the object is asked about. */
static struct page_range asked_range(const struct answer *a)
{
	const struct snapshot *s = &a->result->snapshot;
	struct page_range range = a->question->range;

	range.count = MIN(range.count, s->count - MIN(range.first, s->count));
	return range;
}

static uint64_t end_of(struct page_range r)
{
	return r.first + r.count;
}

/* What can be said about a time that ends with the look. */
struct proof {
	uint32_t after;    /* what came back after that did so within the age */
	bool known;        /* how long nothing was missed */
	uint64_t followed; /* for so long; seconds */
	bool proven;       /* for the age that is asked about */
	bool can_be;       /* it will be, in so many seconds: */
	uint64_t in;
};

static struct proof prove(const struct result *r, uint64_t age)
{
	const struct comebacks *c = &r->comebacks;
	uint64_t now = r->generation->began, wanted = age * NS_PER_SECOND;
	uint64_t since = MAX(c->known, refault_time_ns(c->refaults.forgotten));
	struct proof p = {.known = c->known > 0};

	p.after = refault_time_before(now - MIN(now, wanted));
	if (p.known && now > since)
		p.followed = (now - since) / NS_PER_SECOND;
	p.proven = age == 0 || (p.known && now >= since && now - since >= wanted);
	p.can_be = !p.proven && r->followed;
	if (p.can_be)
		p.in = age - MIN(p.followed, age);
	return p;
}

static void add_reason(struct json_object *reasons, const char *text)
{
	json_object_array_add(reasons, json_object_new_string(text));
}

static void add_snapshot_reasons(struct json_object *reasons, const struct snapshot *s)
{
	if (!snapshot_is_incomplete(s, PAGE_STATE_BIT(PAGE_PRESENT)))
		return;
	for (unsigned bit = 1; bit <= s->reasons; bit <<= 1)
		if (s->reasons & bit)
			add_reason(reasons, snapshot_reason_to_string((enum snapshot_reason)bit));
}

static struct json_object *json_of_range(struct page_range range)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "first", json_number(range.first));
	json_object_object_add(j, "count", json_number(range.count));
	return j;
}

static void add_object(struct json_object *j, const struct answer *a)
{
	const struct result *r = a->result;
	char id[OBJECT_ID_MAX];

	object_id_format(&r->object->id, r->object->has_twin, id);
	json_object_object_add(j, "object", json_object_new_string(id));
	json_object_object_add(j, "pageSize", json_number(r->snapshot.page_size));
	json_object_object_add(j, "size", json_number(r->snapshot.size));
	json_object_object_add(j, "range", json_of_range(asked_range(a)));
	json_object_object_add(j, "generation",
			       r->snapshot.generation ? json_number(r->snapshot.generation) : NULL);
}

static void add_incomplete(struct json_object *j, struct json_object *reasons)
{
	bool any = json_object_array_length(reasons) > 0;

	json_object_object_add(j, "incomplete", json_object_new_boolean(any));
	json_object_object_add(j, "reasons", reasons);
}

/* Pages of the range that are present, and those of them that did not come back since. */
struct totals {
	uint64_t present;
	uint64_t quiet;
};

static uint64_t count_in(struct candidates c, uint64_t end)
{
	struct page_range range;
	uint64_t n = 0;

	while (candidates_next(&c, &range) && range.first < end)
		n += MIN(end_of(range), end) - range.first;
	return n;
}

static struct totals count(const struct answer *a, const struct proof *p)
{
	const struct result *r = a->result;
	struct page_range range = asked_range(a);

	return (struct totals){
		.present = count_in(candidates_seek(&r->snapshot, NULL, 0, range.first),
				    end_of(range)),
		.quiet = count_in(candidates_seek(&r->snapshot, &r->comebacks.refaults, p->after,
						  range.first),
				  end_of(range)),
	};
}

/* Where a page is mapped; *count is lowered to what of it is mapped likewise. */
static struct json_object *address_of(const struct result *r, uint64_t page, uint64_t *count)
{
	uint64_t size = r->snapshot.page_size, none = *count, best = UINT64_MAX, run = 0;

	for (size_t i = 0; i < r->object->n_mappers; i++) {
		const struct object_mapper *m = &r->object->mappers[i];
		uint64_t first = m->offset / size, end = first + (m->end - m->start) / size;

		if (!m->shared || m->pid != r->process || page >= end)
			continue;
		if (page < first)
			none = MIN(none, first - page);
		else if (m->start + (page - first) * size < best) {
			best = m->start + (page - first) * size;
			run = end - page;
		}
	}
	*count = MIN(*count, best == UINT64_MAX ? none : run);
	return best == UINT64_MAX ? NULL : json_number(best);
}

/* From a->page on, no more than fit, nor than were asked for: a->index are told already. */
static struct json_object *make_ranges(struct answer *a, const struct proof *p, bool *ret_goes_on)
{
	const struct result *r = a->result;
	uint64_t end = end_of(asked_range(a));
	struct candidates c =
		candidates_seek(&r->snapshot, &r->comebacks.refaults, p->after, a->page);
	struct json_object *array = json_object_new_array();
	size_t room = answer_room(a, RANGE_BYTES);
	struct page_range range;

	*ret_goes_on = false;
	while (a->index < a->question->max_pages && candidates_next(&c, &range) &&
	       range.first < end) {
		range.count = MIN(end_of(range), end) - range.first;
		range.count = MIN(range.count, a->question->max_pages - a->index);
		while (range.count > 0 && room > 0) {
			struct page_range part = range;
			struct json_object *address = address_of(r, range.first, &part.count), *j;

			j = json_of_range(part);
			json_object_object_add(j, "address", address);
			json_object_array_add(array, j);
			range.first += part.count;
			range.count -= part.count;
			a->index += part.count;
			a->page = range.first;
			room--;
		}
		*ret_goes_on = range.count > 0;
		if (*ret_goes_on)
			break;
	}
	return array;
}

static void add_unproven(struct json_object *reasons, const struct result *r, uint64_t age,
			 const struct proof *p)
{
	char text[200];

	if (p->known) {
		snprintf(text, sizeof(text),
			 "what came back is known for the last %" PRIu64
			 " s only, not for %" PRIu64,
			 p->followed, age);
		add_reason(reasons, text);
	} else if (r->unproven) {
		add_reason(reasons, r->unproven);
	}
}

static void add_process(struct json_object *j, const struct result *r)
{
	const char *reason = NULL;

	if (r->several_processes)
		reason = "several processes map it, and the kernel pages out only what one maps";
	else if (r->process == 0 && r->denied)
		reason = "not all who may map it could be seen";
	else if (r->process == 0)
		reason = "no process maps it";
	json_object_object_add(j, "process",
			       r->process > 0 ? json_number((uint64_t)r->process) : NULL);
	json_object_object_add(j, "addressReason", reason ? json_object_new_string(reason) : NULL);
}

struct json_object *answer_candidates(struct answer *a, struct reply_draft *draft)
{
	const struct result *r = a->result;
	struct proof p = prove(r, a->question->age);
	bool given = p.proven || a->question->unproven;
	struct totals n = count(a, &p);
	struct json_object *j = json_object_new_object(), *reasons = json_object_new_array(),
			   *ranges;
	uint64_t first;

	if (!a->begun)
		a->page = asked_range(a).first;
	first = a->page;
	add_object(j, a);
	json_object_object_add(j, "ageSeconds", json_number(a->question->age));
	json_object_object_add(j, "presentPages", json_number(n.present));
	json_object_object_add(j, "candidatePages", json_number(given ? n.quiet : 0));
	json_object_object_add(j, "recentPages", json_number(n.present - n.quiet));
	json_object_object_add(j, "unprovenPages", json_number(p.proven ? 0 : n.quiet));
	json_object_object_add(j, "followedSeconds", p.known ? json_number(p.followed) : NULL);
	json_object_object_add(j, "provenInSeconds", p.can_be ? json_number(p.in) : NULL);
	json_object_object_add(j, "accessInformation", NULL);
	if (!p.proven && n.quiet > 0)
		add_unproven(reasons, r, a->question->age, &p);
	add_snapshot_reasons(reasons, &r->snapshot);
	add_process(j, r);
	add_incomplete(j, reasons);
	ranges = given ? make_ranges(a, &p, &draft->goes_on) : json_object_new_array();
	json_object_object_add(j, "first", json_number(first));
	json_object_object_add(j, "next", draft->goes_on ? json_number(a->page) : NULL);
	json_object_object_add(j, "ranges", ranges);
	return j;
}

static struct json_object *json_of_refault(const struct refault_extent *e, uint64_t now)
{
	struct json_object *j = json_of_range((struct page_range){e->first, e->count});
	uint64_t last = refault_time_ns(e->last);

	json_object_object_add(j, "times", json_number(e->times));
	json_object_object_add(j, "lastSecondsAgo",
			       json_number((now - MIN(now, last)) / NS_PER_SECOND));
	return j;
}

/* What came back, from a->page on. */
static struct json_object *make_refaults(struct answer *a, bool *ret_goes_on)
{
	const struct result *r = a->result;
	uint64_t end = end_of(asked_range(a)), page = a->page;
	struct json_object *array = json_object_new_array();
	size_t room = answer_room(a, EXTENT_BYTES);
	struct refault_extent e;

	*ret_goes_on = false;
	while (refaults_next(&r->comebacks.refaults, page, 0, &e) && e.first < end) {
		*ret_goes_on = room == 0;
		if (room == 0)
			break;
		e.count = MIN(e.count, end - e.first);
		page = e.first + e.count;
		a->page = page;
		/* Only suspected. */
		if (e.times == 0)
			continue;
		json_object_array_add(array, json_of_refault(&e, r->generation->ended));
		room--;
	}
	return array;
}

static uint64_t count_refaults(const struct answer *a)
{
	struct page_range range = asked_range(a);
	uint64_t page = range.first, n = 0;
	struct refault_extent e;

	while (refaults_next(&a->result->comebacks.refaults, page, 0, &e) &&
	       e.first < end_of(range)) {
		page = e.first + e.count;
		n += e.times > 0 ? MIN(page, end_of(range)) - e.first : 0;
	}
	return n;
}

struct json_object *answer_refaults(struct answer *a, struct reply_draft *draft)
{
	const struct result *r = a->result;
	const struct comebacks *c = &r->comebacks;
	struct proof p = prove(r, 1);
	uint64_t now = r->generation->ended, first;
	struct json_object *j = json_object_new_object(), *reasons = json_object_new_array(),
			   *extents;

	if (!a->begun)
		a->page = asked_range(a).first;
	first = a->page;
	extents = make_refaults(a, &draft->goes_on);
	add_object(j, a);
	json_object_object_add(
		j, "observedSeconds",
		c->observed ? json_number((now - MIN(now, c->observed)) / NS_PER_SECOND) : NULL);
	json_object_object_add(j, "followedSeconds", p.known ? json_number(p.followed) : NULL);
	json_object_object_add(j, "refaultedPages", json_number(count_refaults(a)));
	if (!p.known && r->unproven)
		add_reason(reasons, r->unproven);
	if (c->refaults.forgotten > 0)
		add_reason(reasons, "what came back long ago was forgotten, for want of room");
	add_incomplete(j, reasons);
	json_object_object_add(j, "first", json_number(first));
	json_object_object_add(j, "next", draft->goes_on ? json_number(a->page) : NULL);
	json_object_object_add(j, "extents", extents);
	return j;
}
