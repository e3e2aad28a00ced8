/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Closing what came from a client can take as long as the client likes: a socket lingers, a file of
 * FUSE waits for its server, much memory is freed with the last descriptor. Neither the loop nor a
 * worker waits for that.
 */

/* Starts the thread that does it, which discard() would else. Returns 0 or a negative errno. */
int discard_start(void);

/* Takes the descriptor over, and closes it soon. -1 is fine. */
void discard(int fd);
