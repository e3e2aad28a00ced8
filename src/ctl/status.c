/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json.h"
#include "ctl/remote.h"
#include "ctl/terminal.h"

/* The service's fields as they come: what a later version adds is shown too. */
static void print_fields(struct json_object *j, const char *before)
{
	json_object_object_foreach(j, key, value)
	{
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", before, before[0] ? "." : "", key);
		if (json_object_is_type(value, json_type_object))
			print_fields(value, name);
		else
			printf("%-32s %s\n", name, value ? json_object_get_string(value) : "-");
	}
}

static int print(const struct options *o, const char *text)
{
	struct json_object *j = json_tokener_parse(text);

	if (!j)
		return failed("out of memory");
	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON) {
		json_print(o->json, j);
		return 0;
	}
	if (!o->no_legend)
		printf("%-32s %s\n", "FIELD", "VALUE");
	print_fields(j, "");
	json_object_put(j);
	return 0;
}

/* An error as it is: a script knows it by its name. */
static int report(struct shmstate *s, int error)
{
	if (error == -EREMOTEIO)
		return failed("%s %s", shmstate_error_name(s), shmstate_error_parameters(s));
	if (error == -EBADMSG)
		return failed("the service's answer is not as varlink says");
	if (error == -ECONNRESET)
		return failed("the service closed the connection (journalctl -u shmstated says "
			      "why)");
	return failed("the service cannot be asked: %s", strerror(-error));
}

int verb_status(const struct options *o)
{
	struct shmstate *s = NULL;
	const char *reply;
	int error, r = remote_open_service(o, &s);

	if (r != 0)
		return r;
	error = shmstate_call(s, "io.shmstate.GetStatus", NULL, NULL, 0, &reply);
	r = error < 0 ? report(s, error) : print(o, reply);
	shmstate_close(s);
	return r;
}

/* A reply is a line, unless --json=pretty asks for more. */
static int print_reply(const struct options *o, const char *text)
{
	struct json_object *j;

	if (o->json != JSON_PRETTY) {
		puts(text);
		return fflush(stdout) == 0 ? 0 : -errno;
	}
	j = json_tokener_parse(text);
	if (!j)
		return -ENOMEM;
	json_print(o->json, j);
	return fflush(stdout) == 0 ? 0 : -errno;
}

static int handle(void *context, struct shmstate *s, const char *parameters, int continues)
{
	(void)s;
	(void)continues;
	return print_reply(context, parameters);
}

int verb_call(const struct options *o)
{
	_cleanup_free_ char *method = NULL;
	struct shmstate *s = NULL;
	const char *reply;
	int error, r;

	if (asprintf(&method, "%s%s", strchr(o->method, '.') ? "" : "io.shmstate.", o->method) < 0)
		return failed("out of memory");
	r = remote_open_service(o, &s);
	if (r != 0)
		return r;
	pager_open(o->no_pager);
	if (o->more)
		error = shmstate_call_more(s, method, o->parameters, NULL, 0, handle, (void *)o);
	else
		error = shmstate_call(s, method, o->parameters, NULL, 0, &reply);
	if (error == 0 && !o->more)
		error = print_reply(o, reply);
	if (error == -EINVAL)
		r = usage_error("\"%s\" are no parameters; expected a JSON object", o->parameters);
	else if (error < 0)
		r = report(s, error);
	shmstate_close(s);
	return r;
}
