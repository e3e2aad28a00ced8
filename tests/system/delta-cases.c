/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must be gone, for to compare with it would be wrong; and what must not be. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "delta-steps.h"

#define NEXT_ID "/proc/sys/kernel/shm_next_id"
#define NOBODY 65534

static void must_be_gone(struct client *c, const struct object *o, uint64_t number,
			 const char *what)
{
	static const enum encoding encodings[] = {AS_CHANGES, AS_FILE};

	for (size_t i = 0; i < 2; i++) {
		struct ask ask = ASK_ALL(number);
		struct answer a;

		ask.encoding = encodings[i];
		if (client_ask(c, o, &ask, &a))
			wrong("%s: answered, though it cannot be known", what);
		else
			atomic_fetch_add(&tally.gone, 1);
		answer_done(&a);
	}
}

/* A delta since then leads from one view to what is now. */
static void must_be_known(struct client *c, const struct object *o, struct ask ask,
			  const struct view *old, const char *what)
{
	struct view now;
	struct answer a;

	if (!client_ask(c, o, &ask, &a)) {
		wrong("%s: generation %" PRIu64 " is gone", what, ask.since);
		return;
	}
	client_look(c, o, 0, &now, NULL);
	judge(&a, &ask, old, &now, what);
	answer_done(&a);
}

static void fill(struct object *o)
{
	object_write(o, 0, o->pages / 2);
	object_page_out(o, 0, o->pages / 4);
}

static void same_path(struct client *c)
{
	struct object o, again;
	struct view view;
	uint64_t number;

	object_make(&o, KIND_FILE, 1000);
	fill(&o);
	number = client_look(c, &o, 0, &view, NULL);
	unlink(o.path);
	again = o;
	object_make(&o, KIND_FILE, 1000);
	if (rename(o.path, again.path) < 0)
		die("rename: %s", strerror(errno));
	fill(&o);
	snprintf(o.path, sizeof(o.path), "%s", again.path);
	must_be_gone(c, &o, number, "another file of the same path");
	again.path[0] = '\0';
	again.kind = KIND_MEMFD;
	must_be_known(c, &again, ASK_ALL(number), &view, "the file that had that path");
	object_done(&again);
	object_done(&o);
}

/* The inode number of a segment is its id, and which is next the kernel lets itself be told. */
static void same_inode(struct client *c)
{
	struct stat before, after;
	struct object o;
	struct view view;
	uint64_t number;
	FILE *next;

	object_make(&o, KIND_SYSV, PAGES_MAX);
	fill(&o);
	number = client_look(c, &o, 0, &view, NULL);
	must_be_known(c, &o, ASK_ALL(number), &view, "a segment");
	fstat(o.fd, &before);
	object_done(&o);
	next = fopen(NEXT_ID, "we");
	if (!next || fprintf(next, "%d\n", o.shmid) < 0 || fclose(next) != 0) {
		printf("-- not shown: an inode number that is used again: there is no %s\n",
		       NEXT_ID);
		return;
	}
	object_make(&o, KIND_SYSV, PAGES_MAX);
	fstat(o.fd, &after);
	if (before.st_ino != after.st_ino || before.st_dev != after.st_dev)
		printf("-- not shown: an inode number that is used again: somebody else has it\n");
	fill(&o);
	must_be_gone(c, &o, number, "a new segment with the inode number of an old one");
	object_done(&o);
}

static void other_objects(struct client *c)
{
	struct object one, two;
	struct view view;
	uint64_t a, b;

	object_make(&one, KIND_MEMFD, 500);
	object_make(&two, KIND_MEMFD, 500);
	fill(&one);
	fill(&two);
	a = client_look(c, &one, 0, &view, NULL);
	b = client_look(c, &two, 0, &view, NULL);
	must_be_gone(c, &one, b, "a generation of another object");
	must_be_gone(c, &two, a, "a generation of another object");
	must_be_gone(c, &two, b + 1000000, "a number that was never told");
	must_be_gone(c, &two, 1, "a number that was never told");
	must_be_known(c, &two, ASK_ALL(b), &view, "an object among others");
	object_done(&one);
	object_done(&two);
}

/* A generation tells of the pages that it is about. */
static void smaller_range(struct client *c)
{
	struct ask part = {.first = 100, .count = 50, .states = ALL_STATES, .encoding = AS_CHANGES};
	struct object o;
	struct view view;
	struct answer a;
	uint64_t whole;

	object_make(&o, KIND_MEMFD, 500);
	fill(&o);
	whole = client_look(c, &o, 0, &view, NULL);
	part.since = whole;
	if (!client_ask(c, &o, &part, &a))
		die("a range of what is known cannot be had");
	part.since = a.generation;
	answer_done(&a);
	must_be_gone(c, &o, part.since, "all, since a generation of a part");
	object_write(&o, 90, 80);
	must_be_known(c, &o, part, &view, "a part, since a generation of it");
	part.first = 120;
	part.count = 10;
	must_be_known(c, &o, part, &view, "less than a part, since a generation of it");
	part.first = 140;
	part.count = 11;
	if (client_ask(c, &o, &part, &a))
		wrong("a page more than a generation is about was compared with it");
	answer_done(&a);
	object_done(&o);
}

static void sizes(struct client *c)
{
	struct ask part = {.first = 100, .count = 100, .states = ALL_STATES};
	struct object o;
	struct view small, large;
	struct ask ask;

	object_make(&o, KIND_MEMFD, 150);
	fill(&o);
	ask = ASK_ALL(client_look(c, &o, 0, &small, NULL));
	if (ftruncate(o.fd, (off_t)(3000 * o.page_size)) < 0)
		die("ftruncate: %s", strerror(errno));
	o.pages = 3000;
	fill(&o);
	part.since = ask.since;
	for (unsigned e = 0; e < ENCODINGS; e++) {
		ask.encoding = part.encoding = (enum encoding)e;
		must_be_known(c, &o, ask, &small, "an object that has grown");
		must_be_known(c, &o, part, &small, "a part of an object that has grown");
	}
	/* so many changes that they come in pieces, also behind the end that there will be */
	for (uint64_t page = 0; page < o.pages; page += 2)
		object_write(&o, page, 1);
	ask.since = part.since = client_look(c, &o, 0, &large, NULL);
	if (ftruncate(o.fd, (off_t)(120 * o.page_size)) < 0)
		die("ftruncate: %s", strerror(errno));
	o.pages = 120;
	part.count = 20;
	for (unsigned e = 0; e < ENCODINGS; e++) {
		ask.encoding = part.encoding = (enum encoding)e;
		must_be_known(c, &o, ask, &large, "an object that has shrunk");
		must_be_known(c, &o, part, &large, "a part of an object that has shrunk");
	}
	object_done(&o);
}

static void restarted(struct client *c, const char *history)
{
	struct object o;
	struct view view;
	uint64_t number;

	object_make(&o, KIND_MEMFD, 500);
	fill(&o);
	number = client_look(c, &o, 0, &view, NULL);
	client_close(c);
	service_stop();
	service_start(history);
	client_open(c);
	must_be_gone(c, &o, number, "a generation of a service that ran before");
	client_look(c, &o, 0, &view, NULL);
	must_be_gone(c, &o, number, "a generation of a service that ran before");
	object_done(&o);
}

/* As many generations of objects of its own as it takes to drive out all that others may keep. */
static void ask_as_nobody(void)
{
	struct object o;
	struct client c;
	struct view view;
	uint64_t first, last = 0;

	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		die("setresuid: %s", strerror(errno));
	client_open(&c);
	object_make(&o, KIND_MEMFD, PAGES_MAX);
	first = client_look(&c, &o, 0, &view, NULL);
	for (uint64_t i = 0; i < 300; i++) {
		object_write(&o, (i * 13) % o.pages, 1 + i % 2);
		if (last)
			must_be_known(&c, &o, ASK_ALL(last), &view, "another user");
		last = client_look(&c, &o, 0, &view, NULL);
	}
	must_be_gone(&c, &o, first, "a generation of another user that was dropped");
	client_close(&c);
}

/* What others ask for does not make what root was told go. */
static void other_user(struct client *c)
{
	struct object o;
	struct view view;
	uint64_t number, used, limit = client_status(c, "limits", "historyBytes");
	int status = 1;
	pid_t pid;

	object_make(&o, KIND_MEMFD, PAGES_MAX);
	fill(&o);
	number = client_look(c, &o, 0, &view, NULL);
	pid = fork();
	if (pid == 0) {
		unsigned long before = atomic_load(&tally.wrong);

		ask_as_nobody();
		fflush(stdout);
		_exit(atomic_load(&tally.wrong) != before);
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		wrong("what another user is told: see above");
	used = client_status(c, "history", "bytes");
	printf("   after another user: %" PRIu64 " of %" PRIu64 " bytes\n", used, limit);
	if (client_status(c, "history", "droppedGenerations") == 0)
		wrong("nothing of another user was dropped");
	must_be_known(c, &o, ASK_ALL(number), &view, "root, after another user");
	object_done(&o);
}

/* A generation that is larger than all that may be kept. */
static void no_history(void)
{
	struct client c;
	struct object o;
	struct view view;

	service_start("0");
	client_open(&c);
	object_make(&o, KIND_MEMFD, 500);
	fill(&o);
	if (client_look(&c, &o, 0, &view, NULL) != 0)
		wrong("a generation is told where none can be kept");
	must_be_gone(&c, &o, 1, "a service without history");
	object_done(&o);
	client_close(&c);
	service_stop();
}

void cases(void)
{
	struct client c;

	heading("what is gone, and what is not");
	service_start("100K");
	client_open(&c);
	other_objects(&c);
	same_path(&c);
	same_inode(&c);
	smaller_range(&c);
	sizes(&c);
	other_user(&c);
	restarted(&c, "100K");
	client_close(&c);
	service_stop();
	no_history();
}
