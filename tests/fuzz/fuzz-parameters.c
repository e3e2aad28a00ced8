/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parameters of the method that $SHMSTATE_FUZZ_METHOD names; without it, whole calls. A name of
 * what was wrong must come with each that is refused, and one that is taken must have a key.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/message.h"
#include "serve/question.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fixed_method = -1;

static void require(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("SHMSTATE_FUZZ_METHOD");

	(void)argc;
	(void)argv;
	if (!name)
		return 0;
	fixed_method = method_from_string(name);
	if (fixed_method < 0) {
		fprintf(stderr, "fuzz-parameters: no method %s\n", name);
		exit(2);
	}
	return 0;
}

static void ask(enum method method, struct json_object *parameters)
{
	struct question q;
	char *bad = NULL;
	int r = question_parse(method, parameters, &q, &bad);

	if (r == 0) {
		char *key = question_key(&q);

		require(key && q.method == method && q.fd < 0);
		free(key);
		question_done(&q);
	} else {
		require(r == -EINVAL && bad);
		free(bad);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "{\"method\":\"a.b\",\"parameters\":";
	char *text = malloc(sizeof(head) + size + 1);
	size_t n = 0;
	struct call c;
	int method;

	if (!text)
		return 0;
	if (fixed_method >= 0) {
		memcpy(text, head, sizeof(head) - 1);
		n = sizeof(head) - 1;
	}
	memcpy(text + n, data, size);
	n += size;
	if (fixed_method >= 0)
		text[n++] = '}';
	text[n] = '\0';
	n = strlen(text);
	if (call_parse(text, n, &c) == 0) {
		method = fixed_method >= 0 ? fixed_method : method_from_string(c.method);
		if (method >= 0)
			ask((enum method)method, c.parameters);
		call_done(&c);
	}
	free(text);
	return 0;
}
