/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "serve/question.h"

static const char own[] = "io.shmstate", general[] = "org.varlink.service";

static const char *const methods[METHOD_MAX] = {
	[METHOD_LIST_OBJECTS] = "io.shmstate.ListObjects",
	[METHOD_GET_OBJECT] = "io.shmstate.GetObject",
	[METHOD_SUMMARIZE] = "io.shmstate.Summarize",
	[METHOD_CLASSIFY] = "io.shmstate.Classify",
	[METHOD_LOCATE] = "io.shmstate.Locate",
	[METHOD_FIND_CANDIDATES] = "io.shmstate.FindCandidates",
	[METHOD_GET_REFAULTS] = "io.shmstate.GetRefaults",
	[METHOD_SUBSCRIBE] = "io.shmstate.Subscribe",
	[METHOD_MONITOR] = "io.shmstate.Monitor",
	[METHOD_GET_PAGEMAP] = "io.shmstate.GetPagemap",
	[METHOD_GET_CAPABILITIES] = "io.shmstate.GetCapabilities",
	[METHOD_GET_STATUS] = "io.shmstate.GetStatus",
	[METHOD_GET_INFO] = "org.varlink.service.GetInfo",
	[METHOD_GET_INTERFACE_DESCRIPTION] = "org.varlink.service.GetInterfaceDescription",
};

const char *method_to_string(enum method method)
{
	return methods[method];
}

bool method_wants_whole(enum method method)
{
	return method == METHOD_FIND_CANDIDATES || method == METHOD_GET_REFAULTS;
}

bool method_goes_on(enum method method)
{
	return method == METHOD_SUBSCRIBE || method == METHOD_MONITOR;
}

int method_from_string(const char *s)
{
	const char *dot = strrchr(s, '.');
	size_t n = dot ? (size_t)(dot - s) : 0;

	for (int i = 0; i < METHOD_MAX; i++)
		if (strcmp(methods[i], s) == 0)
			return i;
	if ((n == strlen(own) && memcmp(s, own, n) == 0) ||
	    (n == strlen(general) && memcmp(s, general, n) == 0))
		return -ENOENT;
	return -ENXIO;
}
