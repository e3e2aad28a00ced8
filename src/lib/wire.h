/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages on a stream socket: bytes up to a NUL, and the descriptors that travel with the first of
 * them. What these say is not looked at.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_FDS 253 /* SCM_MAX_FD: the kernel takes no more with one message */

/* A descriptor that came in, and where in the stream the message begins that it came with. */
struct wire_fd {
	uint64_t message;
	int fd;
};

/* Owns all of it. All zero but for fd. */
struct wire {
	int fd;
	unsigned timeout; /* ms for a message; 0: for ever */
	uint64_t passed;  /* bytes of the stream that lie before input */
	char *input;
	size_t n_input, n_allocated;
	size_t n_taken;  /* of these: the message that was received last */
	size_t n_looked; /* of these: hold no NUL but in what was taken */
	struct wire_fd fds[WIRE_FDS];
	size_t n_fds;
};

void wire_done(struct wire *w);

/* Sends `size` bytes, the NUL among them. Returns 0 or a negative errno. */
int wire_send(struct wire *w, const char *message, size_t size, const int *fds, size_t n_fds);

/*
 * The next message: a string, the wire's until the next call. *ret_fds (WIRE_FDS of them) gets its
 * descriptors, which are the caller's then.
 * Returns 0, -ECONNRESET (no more will come), -EMSGSIZE, -ETIMEDOUT, -EMFILE, -EBADMSG (more
 * descriptors than any answer has), -ENOMEM, or another negative errno.
 */
int wire_receive(struct wire *w, const char **ret, size_t *ret_size, int *ret_fds,
		 size_t *ret_n_fds);

/* True if something came in behind the message that was received last. */
bool wire_is_pending(const struct wire *w);
