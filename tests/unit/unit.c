/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

/* Sends a standard stream to a file; what has to be kept to undo it is in the struct. */
struct redirection {
	FILE *stream;
	FILE *file;
	int saved;
};

static struct redirection redirect(FILE *stream)
{
	struct redirection r = {.stream = stream, .file = tmpfile()};

	assert_non_null(r.file);
	fflush(stream);
	r.saved = dup(fileno(stream));
	assert_true(r.saved >= 0);
	assert_true(dup2(fileno(r.file), fileno(stream)) >= 0);
	return r;
}

static char *redirection_end(struct redirection *r, size_t *ret_size)
{
	size_t size, got;
	char *text;

	fflush(r->stream);
	dup2(r->saved, fileno(r->stream));
	close(r->saved);
	clearerr(r->stream);
	fseek(r->file, 0, SEEK_END);
	size = (size_t)ftell(r->file);
	rewind(r->file);
	text = malloc(size + 1);
	assert_non_null(text);
	got = fread(text, 1, size, r->file);
	assert_int_equal(got, size);
	text[size] = '\0';
	fclose(r->file);
	if (ret_size)
		*ret_size = size;
	return text;
}

int capture(int (*f)(void *context), void *context, char **ret_out, size_t *ret_out_size,
	    char **ret_err)
{
	struct redirection out = redirect(stdout), err = redirect(stderr);
	char *out_text, *err_text;
	int r;

	r = f(context);
	err_text = redirection_end(&err, NULL);
	out_text = redirection_end(&out, ret_out_size);
	if (ret_out)
		*ret_out = out_text;
	else
		free(out_text);
	if (ret_err)
		*ret_err = err_text;
	else
		free(err_text);
	return r;
}

size_t count_lines(const char *s)
{
	size_t n = 0, len = strlen(s);

	for (size_t i = 0; i < len; i++)
		n += s[i] == '\n';
	return len == 0 || s[len - 1] == '\n' ? n : SIZE_MAX;
}
