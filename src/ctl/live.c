/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/live.h"

struct live {
	remote_handler handler;
	void *context;
	bool begun;
};

/* It comes only while nothing is being printed: all that was is out. */
static void on_interrupt(int signal)
{
	(void)signal;
	_exit(EXIT_OK);
}

static void let_interrupt(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(how, &set, NULL);
}

static void catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int handle(void *context, struct json_object *reply)
{
	struct live *l = context;
	int r;

	let_interrupt(SIG_BLOCK);
	l->begun = true;
	r = l->handler(l->context, reply);
	if (fflush(stdout) != 0 && r == 0)
		r = -errno;
	let_interrupt(SIG_UNBLOCK);
	return r;
}

/* The service writes a word at least every 45 s. */
int live_ask(struct remote *r, const char *method, struct json_object *parameters, bool about,
	     remote_handler handler, void *context, const char *gone)
{
	struct live l = {.handler = handler, .context = context};
	int error;

	catch_interrupts();
	error = remote_ask_more(r, method, parameters, about, handle, &l);
	if (error >= 0 || error == LIVE_ENOUGH)
		return EXIT_OK;
	if (error == -EREMOTEIO && l.begun && gone &&
	    strcmp(shmstate_error_name(r->service), "io.shmstate.NoSuchObject") == 0) {
		note("%s", gone);
		return EXIT_OK;
	}
	return remote_failed(r, error);
}

bool live_is_picture(const struct options *o)
{
	return o->format == FORMAT_TABLE && isatty(STDOUT_FILENO);
}

unsigned live_next_picture(void)
{
	struct winsize size;

	fputs("\033[H\033[J", stdout);
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 0;
}
