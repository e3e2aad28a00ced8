/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/inside.h"
#include "util/util.h"

#define DEFAULT_ADDRESS "/run/shmstate/io.shmstate"

/* Varlink lets properties follow an address, behind a semicolon; they mean nothing to us. */
static int parse_address(const char *address, struct sockaddr_un *ret, socklen_t *ret_size)
{
	size_t length = strlen(address);
	bool is_abstract = false;

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strncmp(address, "unix:", 5) == 0) {
		address += 5;
		length = strcspn(address, ";");
		is_abstract = address[0] == '@';
	} else if (address[strcspn(address, ":/")] == ':') {
		return -EINVAL; /* another kind of address */
	}
	if (length < 1 + (size_t)is_abstract)
		return -EINVAL;
	if (length >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, address, length);
	if (is_abstract)
		ret->sun_path[0] = '\0';
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !is_abstract);
	return 0;
}

int shmstate_open(const char *address, struct shmstate **ret)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un to;
	socklen_t size;
	int r;

	if (!ret)
		return -EINVAL;
	if (!address)
		address = secure_getenv("SHMSTATE_SOCKET");
	r = parse_address(address && address[0] ? address : DEFAULT_ADDRESS, &to, &size);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&to, size) < 0)
		if (errno != EINTR)
			return -errno;
	r = shmstate_open_fd(fd, ret);
	if (r >= 0)
		fd = -1;
	return r;
}

int shmstate_open_fd(int fd, struct shmstate **ret)
{
	struct shmstate *s;

	if (fd < 0 || !ret)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->wire.fd = fd;
	*ret = s;
	return 0;
}

static void forget_reply(struct shmstate *s)
{
	for (size_t i = 0; i < s->n_fds; i++)
		closep(&s->fds[i]);
	s->n_fds = 0;
	free(TAKE_PTR(s->reply));
	free(TAKE_PTR(s->error));
}

struct shmstate *shmstate_close(struct shmstate *s)
{
	if (!s)
		return NULL;
	forget_reply(s);
	wire_done(&s->wire);
	free(s);
	return NULL;
}

void shmstate_set_timeout(struct shmstate *s, unsigned milliseconds)
{
	s->wire.timeout = milliseconds;
}

void shmstate_set_settle(struct shmstate *s, unsigned milliseconds)
{
	s->settle = milliseconds;
}

struct json_object *json_object_from_text(const char *text, size_t length)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *j = NULL;

	if (!t || length > INT32_MAX) {
		json_tokener_free(t);
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	j = json_tokener_parse_ex(t, text, (int)length);
	if (json_tokener_get_error(t) != json_tokener_success ||
	    json_tokener_get_parse_end(t) != length || !json_object_is_type(j, json_type_object)) {
		json_object_put(j);
		j = NULL;
	}
	json_tokener_free(t);
	return j;
}

/* Takes over the parameters. */
static int send_call(struct shmstate *s, const char *method, struct json_object *parameters,
		     bool more, const int *fds, size_t n_fds)
{
	struct json_object *call = json_object_new_object();
	const char *text;
	size_t length;
	int r;

	json_object_object_add(call, "method", json_object_new_string(method));
	if (parameters)
		json_object_object_add(call, "parameters", parameters);
	if (more)
		json_object_object_add(call, "more", json_object_new_boolean(true));
	text = json_object_to_json_string_length(
		call, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	if (!text)
		r = -ENOMEM;
	else if (length >= SHMSTATE_MESSAGE_MAX)
		r = -EINVAL;
	else
		r = wire_send(&s->wire, text, length + 1, fds, n_fds);
	json_object_put(call);
	/* Who is turned away finds the reason in what came in before. */
	if (r == -EPIPE || r == -ECONNRESET)
		r = 0;
	s->broken = r < 0 && r != -EINVAL;
	return r;
}

/* An absent field and null are one. False if it is there and of another type. */
static bool get_field(struct json_object *j, const char *key, enum json_type type,
		      struct json_object **ret)
{
	*ret = NULL;
	json_object_object_get_ex(j, key, ret);
	return !*ret || json_object_is_type(*ret, type);
}

/* Takes a reply apart: its parameters stay in it. */
static int parse_reply(struct json_object *j, bool more, struct json_object **ret_parameters,
		       const char **ret_error, bool *ret_continues)
{
	struct json_object *parameters, *error, *continues;

	if (!get_field(j, "parameters", json_type_object, &parameters) ||
	    !get_field(j, "error", json_type_string, &error) ||
	    !get_field(j, "continues", json_type_boolean, &continues))
		return -EBADMSG;
	*ret_continues = continues && json_object_get_boolean(continues);
	if (*ret_continues && (error || !more))
		return -EBADMSG;
	*ret_parameters = parameters;
	*ret_error = error ? json_object_get_string(error) : NULL;
	return 0;
}

static int keep_reply(struct shmstate *s, struct json_object *parameters, const char *error)
{
	const char *text = parameters ? json_object_to_json_string_ext(
						parameters, JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE)
				      : "{}";

	s->reply = text ? strdup(text) : NULL;
	s->error = error ? strdup(error) : NULL;
	if (!s->reply || (error && !s->error))
		return -ENOMEM;
	return error ? -EREMOTEIO : 0;
}

/*
 * One reply. ret_json: NULL, or its parameters, to be put (NULL if there are none); then the text
 * is kept only of an error. Returns 0, -EREMOTEIO or what broke the connection.
 */
static int receive_reply(struct shmstate *s, bool more, bool *ret_continues,
			 struct json_object **ret_json)
{
	struct json_object *j, *parameters = NULL;
	const char *text, *error = NULL;
	size_t length;
	int r;

	forget_reply(s);
	r = wire_receive(&s->wire, &text, &length, s->fds, &s->n_fds);
	if (r < 0)
		return r;
	j = json_object_from_text(text, length);
	if (!j)
		return -EBADMSG;
	r = parse_reply(j, more, &parameters, &error, ret_continues);
	if (r >= 0 && (error || !ret_json))
		r = keep_reply(s, parameters, error);
	if (r >= 0 && ret_json)
		*ret_json = json_object_get(parameters);
	json_object_put(j);
	return r;
}

static bool breaks(int r)
{
	return r < 0 && r != -EREMOTEIO && r != -EINVAL;
}

/* What comes unasked belongs to no call; only who is turned away is told so first of all. */
static int check_ready(struct shmstate *s, const char *method, size_t n_fds)
{
	if (!method || n_fds > WIRE_FDS)
		return -EINVAL;
	if (s->broken)
		return -ENOTCONN;
	if (s->asked && wire_is_pending(&s->wire)) {
		s->broken = true;
		return -EBADMSG;
	}
	s->asked = true;
	forget_reply(s);
	return 0;
}

static int parse_parameters(const char *text, struct json_object **ret)
{
	*ret = text ? json_object_from_text(text, strlen(text)) : NULL;
	return text && !*ret ? -EINVAL : 0;
}

int shmstate_call_json(struct shmstate *s, const char *method, struct json_object *parameters,
		       const int *fds, size_t n_fds, struct json_object **ret)
{
	bool continues;
	int r = check_ready(s, method, n_fds);

	if (r >= 0)
		r = send_call(s, method, json_object_get(parameters), false, fds, n_fds);
	if (r < 0)
		return r;
	r = receive_reply(s, false, &continues, ret);
	s->broken = breaks(r);
	return r;
}

int shmstate_call(struct shmstate *s, const char *method, const char *parameters, const int *fds,
		  size_t n_fds, const char **ret_parameters)
{
	struct json_object *j;
	bool continues;
	int r = parse_parameters(parameters, &j);

	if (r < 0)
		return r;
	r = check_ready(s, method, n_fds);
	if (r < 0) {
		json_object_put(j);
		return r;
	}
	r = send_call(s, method, j, false, fds, n_fds);
	if (r < 0)
		return r;
	r = receive_reply(s, false, &continues, NULL);
	s->broken = breaks(r);
	if (r >= 0 && ret_parameters)
		*ret_parameters = s->reply;
	return r;
}

int shmstate_call_more(struct shmstate *s, const char *method, const char *parameters,
		       const int *fds, size_t n_fds, shmstate_reply_handler handler, void *context)
{
	struct json_object *j;
	bool continues = true;
	int r = handler ? parse_parameters(parameters, &j) : -EINVAL;

	if (r < 0)
		return r;
	r = check_ready(s, method, n_fds);
	if (r < 0) {
		json_object_put(j);
		return r;
	}
	r = send_call(s, method, j, true, fds, n_fds);
	while (r == 0 && continues) {
		r = receive_reply(s, true, &continues, NULL);
		if (r < 0)
			break;
		r = handler(context, s, s->reply, continues);
		if (r != 0) {
			/* What the service still sends nobody would read. */
			s->broken = true;
			shutdown(s->wire.fd, SHUT_RDWR);
			return r;
		}
	}
	s->broken = breaks(r);
	return r;
}

int shmstate_take_fd(struct shmstate *s, unsigned index)
{
	if (index >= s->n_fds || s->fds[index] < 0)
		return -ENOENT;
	return TAKE_FD(s->fds[index]);
}

const char *shmstate_error_name(const struct shmstate *s)
{
	return s->error;
}

const char *shmstate_error_parameters(const struct shmstate *s)
{
	return s->error ? s->reply : NULL;
}
