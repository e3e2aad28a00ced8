/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loadgen.h"

#define SAMPLES 20000
/* An answer that takes longer is none. */
#define PATIENCE 60

/* ---- one call after the other -------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("%s: %s", socket_path, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Reads up to the NUL; ret_fd: the descriptor that came along, or -1. The text is good until the
 * next call. */
static char *read_reply(int fd, int *ret_fd)
{
	static char *text;
	static size_t allocated;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	size_t length = 0;
	ssize_t n;

	*ret_fd = -1;
	do {
		struct iovec part;
		struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};

		if (allocated < length + (1 << 20)) {
			allocated = 2 * allocated + (1 << 20);
			text = realloc(text, allocated);
			if (!text)
				die("out of memory");
		}
		part = (struct iovec){text + length, allocated - length};
		m.msg_controllen = sizeof(control);
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			die("no answer from the service: %s",
			    n < 0 ? strerror(errno) : "it closed the connection");
		if (CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_RIGHTS)
			memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
		length += (size_t)n;
	} while (text[length - 1] != '\0');
	return text;
}

static void write_call(int fd, const char *text, size_t length)
{
	ssize_t n;

	for (; length > 0; text += n, length -= (size_t)n) {
		n = send(fd, text, length, MSG_NOSIGNAL);
		if (n < 0)
			die("the service takes no call: %s", strerror(errno));
	}
}

struct json_object *ask_once(const char *method)
{
	struct json_object *reply, *parameters = NULL;
	int fd = dial(), passed;
	char *text;

	if (asprintf(&text, "{\"method\":\"%s\"}", method) < 0)
		die("out of memory");
	write_call(fd, text, strlen(text) + 1);
	free(text);
	reply = json_tokener_parse(read_reply(fd, &passed));
	close(fd);
	if (!reply || !json_object_object_get_ex(reply, "parameters", &parameters))
		die("%s: no parameters in the answer", method);
	parameters = json_object_get(parameters);
	json_object_put(reply);
	return parameters;
}

/* A call in two parts: so that the service has had to wait once, for which there is a timer that it
 * keeps. */
static void ask_slowly(void)
{
	static const char call[] = "{\"method\":\"org.varlink.service.GetInfo\"}";
	int fd = dial(), passed;

	write_call(fd, call, 10);
	usleep(50000);
	write_call(fd, call + 10, sizeof(call) - 10);
	read_reply(fd, &passed);
	close(fd);
}

/* ---- what it takes ------------------------------------------------------------------------- */

static long count_entries(pid_t pid, const char *what)
{
	char path[64];
	struct dirent *entry;
	long n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	d = opendir(path);
	if (!d)
		return -1;
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static bool in_file(pid_t pid, const char *name, const char *format, long *ret)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = ret ? strncmp(line, format, strlen(format)) == 0 : !!strstr(line, format);
	fclose(f);
	if (found && ret)
		*ret = strtol(line + strlen(format), NULL, 10);
	return found;
}

int footprint_read(pid_t pid, struct footprint *ret)
{
	*ret = (struct footprint){.fds = count_entries(pid, "fd"),
				  .threads = count_entries(pid, "task")};
	if (ret->fds < 0 || !in_file(pid, "status", "VmRSS:", &ret->rss_kib))
		return -ESRCH;
	ret->sanitized = in_file(pid, "maps", "libasan", NULL);
	return 0;
}

/* ---- how long an answer takes -------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How long the answer took; it is looked at, but not meanwhile. */
static uint64_t ask_timed(int fd, struct question *q, const char *call, size_t length,
			  size_t *ret_bytes)
{
	uint64_t asked = now_ns(), took;
	enum verdict verdict = ANSWER_WRONG;
	struct json_object *reply;
	int passed[PASSED_MAX];
	size_t n_passed;
	bool final;
	char *text;

	write_call(fd, call, length);
	text = read_reply(fd, passed);
	took = now_ns() - asked;
	*ret_bytes = strlen(text);
	n_passed = passed[0] >= 0;
	reply = json_tokener_parse(text);
	q->next = 0;
	if (reply)
		verdict = question_judge(q, reply, passed, &n_passed, &final);
	totals.moved += verdict == ANSWER_MOVED;
	totals.wrong += verdict != ANSWER_RIGHT && verdict != ANSWER_MOVED;
	json_object_put(reply);
	return took;
}

/* Asks again and again, the whole object at once. */
static void measure_one(struct question *q, unsigned seconds)
{
	static uint64_t took[SAMPLES];
	uint64_t end = now_ns() + seconds * UINT64_C(1000000000);
	size_t n, length, bytes = 0;
	char *call = question_format(q, &length);
	int fd = dial();

	for (n = 0; n < SAMPLES && (now_ns() < end || n < 5); n++)
		took[n] = ask_timed(fd, q, call, length, &bytes);
	close(fd);
	free(call);
	qsort(took, n, sizeof(*took), compare);
	printf("  %-17s p50 %8.2f ms  p99 %8.2f ms  (%zu answers of %zu bytes)\n",
	       kind_names[q->kind], (double)took[n / 2] / 1e6, (double)took[n * 99 / 100] / 1e6, n,
	       bytes);
}

void warm_up(void)
{
	struct object *o = object_new(64, 8, true);
	enum kind kind;

	ask_slowly();
	for (kind = ASK_SUMMARIZE; kind <= ASK_DESCRIPTOR; kind++) {
		struct question q = {.kind = kind, .object = o, .count = o->n_pages};
		size_t length, bytes;
		char *call = question_format(&q, &length);
		int fd = dial();

		ask_timed(fd, &q, call, length, &bytes);
		close(fd);
		free(call);
	}
	object_close(o);
}

static void measure_layout(uint64_t n_pages, uint64_t run, unsigned seconds)
{
	struct object *o = object_new(n_pages, run, false);
	uint64_t out = object_count(o, 0, n_pages, KNOWN_OUT);
	enum kind kind;

	printf("One client, %llu MiB, %llu of %llu pages swapped, in runs of %llu:\n",
	       (unsigned long long)(n_pages * page_size >> 20), (unsigned long long)out,
	       (unsigned long long)n_pages, (unsigned long long)run);
	for (kind = ASK_SUMMARIZE; kind <= ASK_DESCRIPTOR; kind++) {
		struct question q = {.kind = kind, .object = o, .count = n_pages};

		measure_one(&q, seconds);
	}
	object_close(o);
}

void measure(uint64_t n_pages, unsigned seconds)
{
	measure_layout(n_pages, n_pages / 2, seconds);
	measure_layout(n_pages, 64, seconds);
}
