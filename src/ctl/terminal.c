/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/terminal.h"

static pid_t pager_pid;

/* In the child: less behaves like systemctl's (quit if one screen, keep colours and the screen). */
static void run_pager(const int pipe_fds[2])
{
	const char *pager = getenv("SHMSTATE_PAGER");

	if (!pager)
		pager = getenv("PAGER");
	if (!pager)
		pager = "less";
	dup2(pipe_fds[0], STDIN_FILENO);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	setenv("LESS", "FRSXMK", 0);
	setenv("LESSCHARSET", "utf-8", 0);
	execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
	_exit(EXIT_FAILURE);
}

/* A pager that is not there must not swallow the output. */
static bool pager_exists(void)
{
	const char *pager = getenv("SHMSTATE_PAGER");

	if (!pager)
		pager = getenv("PAGER");
	if (pager)
		return pager[0] != '\0';
	return access("/usr/bin/less", X_OK) == 0 || access("/bin/less", X_OK) == 0;
}

void pager_open(bool no_pager)
{
	int pipe_fds[2];

	if (no_pager || !isatty(STDOUT_FILENO) || !pager_exists() || pipe(pipe_fds) < 0)
		return;
	terminal_has_colour(); /* while stdout still is the terminal */
	fflush(stdout);
	pager_pid = fork();
	if (pager_pid == 0)
		run_pager(pipe_fds);
	if (pager_pid > 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		signal(SIGPIPE, SIG_IGN); /* leaving the pager early is no failure */
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int pager_close(void)
{
	int r = fflush(stdout) == 0 && !ferror(stdout) ? 0 : errno ? -errno : -EIO;

	if (pager_pid <= 0)
		return r;
	fclose(stdout);
	while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

bool terminal_has_colour(void)
{
	static int known = -1;

	if (known < 0) {
		const char *no_colour = getenv("NO_COLOR");
		const char *term = getenv("TERM");

		known = isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]) && term &&
			term[0] != '\0';
	}
	return known;
}
