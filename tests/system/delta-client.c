/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Written from io.shmstate(7) and the public headers, and from nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delta-steps.h"

#define PATIENCE_MS 60000
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

void client_open(struct client *c)
{
	int r = shmstate_open(service_socket, &c->service);

	if (r < 0)
		die("%s: %s", service_socket, strerror(-r));
	shmstate_set_timeout(c->service, PATIENCE_MS);
}

void client_close(struct client *c)
{
	c->service = shmstate_close(c->service);
}

void answer_done(struct answer *a)
{
	free(a->changes);
	*a = (struct answer){0};
}

/* ---- fields -------------------------------------------------------------------------------- */

static struct json_object *field(struct json_object *j, const char *name)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(j, name, &value))
		die("no field %s in an answer", name);
	return value;
}

static uint64_t number(struct json_object *j, const char *name)
{
	return json_object_get_uint64(field(j, name));
}

/* A state; null: behind the end. */
static int state(struct json_object *j, const char *name)
{
	const char *text = json_object_get_string(field(j, name));

	if (!text)
		return BEYOND;
	for (int i = 0; i < SHMSTATE_STATES; i++)
		if (strcmp(text, shmstate_state_name(i)) == 0)
			return i;
	die("%s is no state", text);
}

static void take_summary(struct json_object *j, const struct object *o, struct answer *a)
{
	struct json_object *counts = field(j, "counts");

	a->generation = number(j, "generation");
	a->pages = number(j, "size") / o->page_size;
	a->settled = json_object_get_boolean(field(j, "settled"));
	a->stable = json_object_get_boolean(field(j, "stable"));
	for (int i = 0; i < SHMSTATE_STATES; i++)
		a->counts[i] = number(counts, shmstate_state_name(i));
}

static void add_change(struct answer *a, const struct change *c)
{
	if (a->n == a->allocated) {
		a->allocated = 2 * a->allocated + 64;
		a->changes = realloc(a->changes, a->allocated * sizeof(*a->changes));
		if (!a->changes)
			die("out of memory");
	}
	a->changes[a->n++] = *c;
}

static void take_changes(struct json_object *array, struct answer *a)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *j = json_object_array_get_idx(array, i);
		struct change c = {
			.first = number(j, "first"),
			.count = number(j, "count"),
			.from = state(j, "from"),
			.to = state(j, "to"),
		};

		add_change(a, &c);
	}
}

/* ---- <shmstate/delta.h> -------------------------------------------------------------------- */

struct bytes {
	const unsigned char *at, *end;
};

static unsigned take_byte(struct bytes *b)
{
	if (b->at >= b->end)
		die("a record of a delta is cut off");
	return *b->at++;
}

static uint64_t take_number(struct bytes *b)
{
	uint64_t n = 0;
	unsigned byte, shift = 0;

	do {
		byte = take_byte(b);
		n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return n;
}

static struct change take_record(struct bytes *b, uint64_t end)
{
	struct change c = {.first = end + take_number(b)};
	unsigned byte = take_byte(b);

	c.from = byte & 7;
	c.to = byte >> 3 & 7;
	c.count = (byte >> 6) + 1;
	if (c.count == 4)
		c.count += take_number(b);
	return c;
}

static void take_records(const struct shmstate_delta_header *h, struct answer *a)
{
	const unsigned char *start = (const unsigned char *)h;
	struct bytes b = {start + h->records, start + h->size};
	uint64_t end = h->first, changed = 0;

	for (uint64_t i = 0; i < h->n_records; i++) {
		struct change c = take_record(&b, end);

		end = c.first + c.count;
		changed += c.count;
		if (c.from == c.to && c.first >= h->object_size / h->page_size)
			c.to = BEYOND;
		else if (c.from == c.to)
			c.from = BEYOND;
		add_change(a, &c);
	}
	if (b.at != b.end || changed != h->changed)
		wrong("records of a delta end %zd bytes early, and tell of %" PRIu64
		      " pages, not %" PRIu64,
		      b.end - b.at, changed, h->changed);
}

/* What the header says must be what the reply says. */
static void compare_header(const struct shmstate_delta_header *h, struct json_object *j,
			   const struct answer *a, uint64_t size)
{
	bool good = h->magic == SHMSTATE_DELTA_MAGIC && h->version == SHMSTATE_DELTA_VERSION &&
		    h->size == size && h->generation == a->generation &&
		    h->since == number(j, "since") && h->object_size == a->pages * h->page_size &&
		    h->first == number(field(j, "range"), "first") &&
		    h->count == number(field(j, "range"), "count") &&
		    memcmp(h->counts, a->counts, sizeof(h->counts)) == 0 &&
		    !(h->flags & SHMSTATE_MAP_STABLE) == !a->stable &&
		    !(h->flags & SHMSTATE_MAP_SETTLED) == !a->settled;

	if (!good)
		wrong("the header of a delta is not what the reply says");
}

static void take_file(struct shmstate *s, struct json_object *j, struct answer *a)
{
	int fd = shmstate_take_fd(s, (unsigned)number(j, "fileDescriptor"));
	const struct shmstate_delta_header *h;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
		die("no sealed descriptor came with a delta");
	h = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (h == MAP_FAILED || (size_t)st.st_size < sizeof(*h))
		die("a delta cannot be mapped: %s", strerror(errno));
	a->n_bytes = (uint64_t)st.st_size;
	compare_header(h, j, a, a->n_bytes);
	take_records(h, a);
	munmap((void *)(uintptr_t)h, (size_t)st.st_size);
	close(fd);
}

/* ---- asking -------------------------------------------------------------------------------- */

/* Objects are named in all ways. Returns what is to be passed along: a descriptor, or -1. */
static int write_selector(const struct object *o, char *buf, size_t size)
{
	if (o->path[0] != '\0') {
		snprintf(buf, size, "{\"path\":\"%s\"}", o->path);
		return -1;
	}
	if (o->kind == KIND_SYSV) {
		snprintf(buf, size, "{\"pid\":%d,\"address\":%" PRIu64 "}", getpid(),
			 (uint64_t)(uintptr_t)o->map);
		return -1;
	}
	snprintf(buf, size, "{\"passedFileDescriptor\":0}");
	return o->fd;
}

static void write_states(char *buf, size_t size, unsigned states)
{
	int n = snprintf(buf, size, ",\"states\":[");

	for (int i = 0; i < SHMSTATE_STATES; i++)
		if (states >> i & 1)
			n += snprintf(buf + n, size - (size_t)n, "%s\"%s\"",
				      buf[n - 1] == '[' ? "" : ",", shmstate_state_name(i));
	snprintf(buf + n, size - (size_t)n, "]");
}

static int write_parameters(const struct object *o, const struct ask *ask, char *buf, size_t size)
{
	char selector[160], range[96] = "", states[160] = "", since[48] = "", settle[48] = "";
	int fd = write_selector(o, selector, sizeof(selector));

	if (ask->count != TO_END)
		snprintf(range, sizeof(range),
			 ",\"range\":{\"first\":%" PRIu64 ",\"count\":%" PRIu64 "}", ask->first,
			 ask->count);
	else if (ask->first > 0)
		snprintf(range, sizeof(range), ",\"range\":{\"first\":%" PRIu64 "}", ask->first);
	if (ask->states != ALL_STATES)
		write_states(states, sizeof(states), ask->states);
	if (ask->since)
		snprintf(since, sizeof(since), ",\"since\":%" PRIu64, ask->since);
	if (ask->settle_ms)
		snprintf(settle, sizeof(settle), ",\"settleMilliseconds\":%u", ask->settle_ms);
	snprintf(buf, size, "{\"selector\":%s,\"encoding\":\"%s\"%s%s%s%s}", selector,
		 ask->encoding == AS_FILE ? "file_descriptor" : "extents", range, states, since,
		 settle);
	return fd;
}

struct reading {
	const struct object *object;
	const struct ask *ask;
	struct answer *answer;
	struct view *view; /* of a whole answer */
	uint64_t next;     /* page to go on with; 0: none */
};

static void read_map(struct shmstate *s, struct json_object *j, struct view *ret)
{
	int fd = shmstate_take_fd(s, (unsigned)number(j, "fileDescriptor"));
	struct shmstate_map *map;

	if (fd < 0 || shmstate_map_open(fd, &map) < 0)
		die("no map came with an answer");
	close(fd);
	ret->pages = shmstate_map_count(map);
	if (ret->pages > PAGES_MAX)
		die("a map is of %" PRIu64 " pages", ret->pages);
	for (uint64_t page = 0; page < ret->pages; page++)
		ret->state[page] = (uint8_t)shmstate_map_get(map, page);
	shmstate_map_free(map);
}

static int take_reply(void *context, struct shmstate *s, const char *parameters, int continues)
{
	struct json_object *j = json_tokener_parse(parameters);
	struct reading *r = context;

	take_summary(j, r->object, r->answer);
	if (r->view)
		read_map(s, j, r->view);
	else if (r->ask->encoding == AS_FILE)
		take_file(s, j, r->answer);
	else
		take_changes(field(j, "changes"), r->answer);
	if (!r->view && number(j, "since") != r->ask->since)
		wrong("asked since %" PRIu64 ", answered since %" PRIu64, r->ask->since,
		      number(j, "since"));
	r->next = number(j, "next");
	if (continues && r->next == 0)
		wrong("a reply continues, and does not say where");
	json_object_put(j);
	return 0;
}

static int call(struct client *c, const struct object *o, const struct ask *ask, struct reading *r)
{
	const char *method = "io.shmstate.Classify", *reply = NULL;
	char parameters[768];
	int fd = write_parameters(o, ask, parameters, sizeof(parameters)), error;

	if (ask->encoding == AS_CHANGES)
		return shmstate_call_more(c->service, method, parameters, &fd, fd >= 0, take_reply,
					  r);
	error = shmstate_call(c->service, method, parameters, &fd, fd >= 0, &reply);
	return error < 0 ? error : take_reply(r, c->service, reply, 0);
}

/* Reply by reply, each about a new look. */
static int call_on(struct client *c, const struct object *o, const struct ask *ask,
		   struct reading *r)
{
	struct answer *a = r->answer;
	struct ask rest = *ask;
	struct answer first;
	int error = call(c, o, ask, r);

	first = *a;
	while (error >= 0 && ask->encoding == AS_CHANGES_BY_PIECE && r->next > 0) {
		rest.first = r->next;
		if (ask->count != TO_END)
			rest.count = ask->first + ask->count - r->next;
		error = call(c, o, &rest, r);
	}
	/* what the others say is about the rest */
	a->generation = first.generation;
	memcpy(a->counts, first.counts, sizeof(a->counts));
	return error;
}

bool client_ask(struct client *c, const struct object *o, const struct ask *ask, struct answer *ret)
{
	struct reading r = {.object = o, .ask = ask, .answer = ret};
	const char *name;
	int error;

	*ret = (struct answer){0};
	error = call_on(c, o, ask, &r);
	if (error >= 0)
		return true;
	name = error == -EREMOTEIO ? shmstate_error_name(c->service) : strerror(-error);
	answer_done(ret);
	if (strcmp(name, "io.shmstate.GenerationGone") == 0)
		return false;
	die("Classify since %" PRIu64 ": %s %s", ask->since, name,
	    error == -EREMOTEIO ? shmstate_error_parameters(c->service) : "");
}

uint64_t client_look(struct client *c, const struct object *o, unsigned settle_ms, struct view *ret,
		     struct answer *ret_answer)
{
	struct ask ask = {
		.count = TO_END, .states = ALL_STATES, .encoding = AS_FILE, .settle_ms = settle_ms};
	struct answer a = {0};
	struct reading r = {.object = o, .ask = &ask, .answer = &a, .view = ret};
	int error = call(c, o, &ask, &r);

	if (error < 0)
		die("Classify: %s",
		    error == -EREMOTEIO ? shmstate_error_name(c->service) : strerror(-error));
	if (ret_answer)
		*ret_answer = a;
	return a.generation;
}

uint64_t client_status(struct client *c, const char *group, const char *name)
{
	const char *reply;
	struct json_object *j;
	uint64_t value;

	if (shmstate_call(c->service, "io.shmstate.GetStatus", NULL, NULL, 0, &reply) < 0)
		die("GetStatus: no answer");
	j = json_tokener_parse(reply);
	value = number(field(j, group), name);
	json_object_put(j);
	return value;
}
