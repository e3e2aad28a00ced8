/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "ctl/remote.h"
#include "json/get.h"

static int add_capability(struct capabilities *c, struct json_object *j)
{
	const char *name, *tells, *reason = NULL;
	bool works;

	if (!json_get_text(j, "capability", &name) || !json_get_bool(j, "works", &works) ||
	    !json_get_text(j, "tells", &tells))
		return -EBADMSG;
	json_get_text(j, "reason", &reason);
	return capabilities_add(c, name, works, tells, reason);
}

static int take_capabilities(struct json_object *reply, struct capabilities *c)
{
	const char *kernel, *machine, *probe;
	struct json_object *array;
	int r = 0;

	if (!json_get_text(reply, "kernel", &kernel) ||
	    !json_get_text(reply, "machine", &machine) || !json_get_text(reply, "probe", &probe) ||
	    !json_get_number(reply, "pageSize", &c->page_size) ||
	    !json_get(reply, "capabilities", json_type_array, &array))
		return -EBADMSG;
	c->kernel = strdup(kernel);
	c->machine = strdup(machine);
	c->probe = strdup(probe);
	if (!c->kernel || !c->machine || !c->probe)
		return -ENOMEM;
	for (size_t i = 0; i < json_object_array_length(array) && r >= 0; i++)
		r = add_capability(c, json_object_array_get_idx(array, i));
	return r;
}

int remote_capabilities(struct source *s, struct capabilities *ret)
{
	struct remote *r = remote_of(s);
	struct json_object *reply;
	int error = remote_ask(r, "GetCapabilities", NULL, false, &reply);

	if (error < 0)
		return remote_failed(r, error);
	error = take_capabilities(reply, ret);
	json_object_put(reply);
	return error < 0 ? remote_failed(r, error) : 0;
}
