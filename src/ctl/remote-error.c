/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/remote.h"
#include "ctl/report.h"
#include "json/get.h"
#include "util/text.h"

#define INTERFACE "io.shmstate."

/* What an error of the service is about. Texts are borrowed from its parameters. */
struct complaint {
	struct remote *remote;
	const struct options *options;
	struct json_object *parameters;
	const char *reason;
	uint64_t number;
};

/* Nothing went wrong on the wire but what came is no answer, or none came. */
static int failed_call(int error)
{
	switch (error) {
	case -EBADMSG:
		return failed("the service's answer is not as its interface says");
	case -ECONNRESET:
	case -EPIPE:
		return failed("the service closed the connection (journalctl -u shmstated says "
			      "why; --direct does without it)");
	case -EMSGSIZE:
		return failed("the service's answer is too long");
	case -EPROTONOSUPPORT:
		return failed("the service's maps are of a version that this shmstatectl does not "
			      "know");
	}
	return failed("the service cannot be asked: %s", text_error(error));
}

/* What was asked about, as it was named. */
static int failed_object(const struct complaint *c, const char *reason)
{
	struct remote *r = c->remote;
	size_t first;
	char id[OBJECT_ID_MAX];

	if (remote_find(r, &first) == 0 && r->n_objects - first == 1)
		return failed("%s: %s", object_id_text(r->objects[first], id), reason);
	return failed("%s", reason);
}

static int say_no_object(const struct complaint *c)
{
	const char *path = c->options->selector.path;
	struct stat st;

	if (path && stat(path, &st) < 0)
		return failed("%s: %s", path,
			      errno == ENOENT ? "no such file" : text_error(-errno));
	return failed("no such object; shmstatectl list shows those that exist");
}

static int say_several(const struct complaint *c)
{
	struct remote *r = c->remote;
	size_t first;

	if (remote_find(r, &first) < 0 || r->n_objects - first < 2)
		return failed("%s takes one object, but several match", c->options->verb);
	report_candidates(c->options->verb, r->objects + first, r->n_objects - first);
	return EXIT_FAILED;
}

static int say_no_process(const struct complaint *c)
{
	return failed("--pid=%" PRIu64 ": no such process", c->number);
}

static int say_not_permitted(const struct complaint *c)
{
	return failed("the service does not permit that to this user: see rule %s in shmstated(8)",
		      c->reason);
}

static int say_out_of_range(const struct complaint *c)
{
	if (!c->options->range)
		return failed("the object has %" PRIu64 " pages by now", c->number);
	return failed("--range=%s: the object has %" PRIu64 " pages", c->options->range, c->number);
}

static int say_generation_gone(const struct complaint *c)
{
	return failed("generation %" PRIu64
		      " is not kept (any more), or is of other pages or another object: "
		      "shmstatectl dump shows all pages, and the generation to go on from",
		      c->number);
}

static int say_too_large(const struct complaint *c)
{
	return failed("the answer is longer than the service may send (%" PRIu64
		      " bytes): give a --range",
		      c->number);
}

static int say_busy(const struct complaint *c)
{
	return failed_object(c, c->reason);
}

static int say_not_swappable(const struct complaint *c)
{
	return failed_object(c, text_error(-EOPNOTSUPP));
}

static int say_not_shared(const struct complaint *c)
{
	const char *path = c->options->selector.path;

	return failed("%s: not shared memory; expected a file on tmpfs", path ? path : "this");
}

static int say_no_probe(const struct complaint *c)
{
	if (c->options->probe == PROBE_AUTO)
		return failed("%s needs the walk: %s", c->options->verb, c->reason);
	return failed("--probe=%s: %s", probe_choice_to_string(c->options->probe), c->reason);
}

/* What a path leads to is not asked for again: that would take as long. */
static int say_timed_out(const struct complaint *c)
{
	const char *reason = "the look took longer than the service allows";
	const char *path = c->options->selector.path;

	return path ? failed("%s: %s", path, reason) : failed_object(c, reason);
}

static int say_too_busy(const struct complaint *c)
{
	const char *what = c->reason;

	if (strncmp(what, "queued_scans", strlen("queued_scans")) == 0)
		what = "looks may wait";
	else if (strncmp(what, "held_bytes", strlen("held_bytes")) == 0)
		what = "bytes of answers and half-sent calls may be held";
	else if (strcmp(what, "dead_paths") == 0)
		what = "path whose file system does not answer is waited for";
	else if (strcmp(what, "scan_seconds") == 0)
		what = "seconds may pass, and no look could begin in that time";
	return failed("the service is too busy: no more than %" PRIu64 " %s", c->number, what);
}

static int say_too_many(const struct complaint *c)
{
	return failed("the service has no room for another connection: it allows %" PRIu64,
		      c->number);
}

static int say_stopping(const struct complaint *c)
{
	(void)c;
	return failed("the service is being stopped");
}

static int say_failed(const struct complaint *c)
{
	return failed_object(c, c->reason);
}

static const struct {
	const char *name;
	const char *text;   /* the parameter that is a text */
	const char *number; /* and that is a number */
	int (*say)(const struct complaint *c);
} errors[] = {
	{"NoSuchObject", NULL, NULL, say_no_object},
	{"NoSuchProcess", NULL, "pid", say_no_process},
	{"SeveralObjects", NULL, NULL, say_several},
	{"NotPermitted", "rule", NULL, say_not_permitted},
	{"OutOfRange", NULL, "pages", say_out_of_range},
	{"GenerationGone", NULL, "generation", say_generation_gone},
	{"TooLarge", NULL, "limit", say_too_large},
	{"ObjectBusy", "reason", NULL, say_busy},
	{"NotSwappable", NULL, NULL, say_not_swappable},
	{"NotSharedMemory", NULL, NULL, say_not_shared},
	{"ProbeUnavailable", "reason", NULL, say_no_probe},
	{"ScanTimedOut", NULL, NULL, say_timed_out},
	{"TooBusy", "bound", "limit", say_too_busy},
	{"TooManyConnections", NULL, "limit", say_too_many},
	{"Stopping", NULL, NULL, say_stopping},
	{"Failed", "reason", NULL, say_failed},
};

/* What it calls by another name than we, or not at all, is of another version. */
static int say_as_it_is(const char *name, const char *parameters)
{
	return failed("the service answered %s %s", name, parameters);
}

static int say(struct complaint *c, const char *name, const char *parameters)
{
	const char *rest = name + strlen(INTERFACE);

	if (strncmp(name, INTERFACE, strlen(INTERFACE)) != 0)
		return say_as_it_is(name, parameters);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (strcmp(errors[i].name, rest) != 0)
			continue;
		if ((errors[i].text && !json_get_text(c->parameters, errors[i].text, &c->reason)) ||
		    (errors[i].number &&
		     !json_get_number(c->parameters, errors[i].number, &c->number)))
			break;
		return errors[i].say(c);
	}
	return say_as_it_is(name, parameters);
}

int remote_failed(struct remote *r, int error)
{
	struct complaint c = {.remote = r, .options = r->base.options};
	_cleanup_free_ char *name = NULL, *parameters = NULL;
	int code;

	if (error == -ENOMEM)
		return out_of_memory();
	if (error != -EREMOTEIO)
		return failed_call(error);
	/* Ours: to say more about it, more may be asked. */
	name = strdup(shmstate_error_name(r->service));
	parameters = strdup(shmstate_error_parameters(r->service));
	if (!name || !parameters)
		return out_of_memory();
	c.parameters = json_tokener_parse(parameters);
	code = say(&c, name, parameters);
	json_object_put(c.parameters);
	return code;
}
