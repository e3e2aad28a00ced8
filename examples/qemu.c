// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "qemu.h"

#define GIB (UINT64_C(1) << 30)

struct qmp {
	const char *path;
	FILE *file;
	char *line;
	size_t room;
};

/* ---- QMP: JSON, a line each ----------------------------------------------------------------- */

/* The caller puts what it gets. */
static struct json_object *read_line(struct qmp *qmp)
{
	errno = 0;
	if (getline(&qmp->line, &qmp->room, qmp->file) < 0) {
		if (errno == EAGAIN)
			die("%s: no answer from QEMU; somebody else may be connected", qmp->path);
		die("%s: QEMU closed the connection", qmp->path);
	}
	return json_tokener_parse(qmp->line);
}

/* What the command returned; the caller puts it. arguments: borrowed, may be NULL. */
static struct json_object *call(struct qmp *qmp, const char *command, const char *line)
{
	struct json_object *request = json_object_new_object(), *arguments, *reply, *part;

	json_object_object_add(request, "execute", json_object_new_string(command));
	if (line) {
		arguments = json_object_new_object();
		json_object_object_add(arguments, "command-line", json_object_new_string(line));
		json_object_object_add(request, "arguments", arguments);
	}
	dprintf(fileno(qmp->file), "%s\n", json_object_to_json_string(request));
	json_object_put(request);
	for (;;) {
		reply = read_line(qmp);
		if (json_object_object_get_ex(reply, "return", &part)) {
			json_object_get(part);
			json_object_put(reply);
			return part;
		}
		if (json_object_object_get_ex(reply, "error", &part)) {
			json_object_object_get_ex(part, "desc", &part);
			die("%s: %s: %s", qmp->path, command, json_object_get_string(part));
		}
		json_object_put(reply); /* all else is an event */
	}
}

/* What the human monitor prints: the caller frees it. */
static char *monitor(struct qmp *qmp, const char *line)
{
	struct json_object *reply = call(qmp, "human-monitor-command", line);
	char *text = strdup(json_object_get_string(reply));

	json_object_put(reply);
	if (!text)
		die("out of memory");
	return text;
}

static FILE *connect_to(const char *path)
{
	struct timeval limit = {.tv_sec = 10};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *file;

	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: too long for a socket's path", path);
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("%s: %s", path, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	file = fdopen(fd, "r");
	if (!file)
		die("%s: %s", path, strerror(errno));
	return file;
}

struct qmp *qmp_open(const char *path)
{
	struct qmp *qmp = calloc(1, sizeof(*qmp));
	struct json_object *greeting;

	if (!qmp)
		die("out of memory");
	qmp->path = path;
	qmp->file = connect_to(path);
	greeting = read_line(qmp);
	if (!json_object_is_type(greeting, json_type_object) ||
	    !json_object_object_get_ex(greeting, "QMP", NULL))
		die("%s: this is no QMP socket", path);
	json_object_put(greeting);
	qmp_run(qmp, "qmp_capabilities");
	return qmp;
}

pid_t qmp_peer(const struct qmp *qmp)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fileno(qmp->file), SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		die("%s: %s", qmp->path, strerror(errno));
	return peer.pid;
}

void qmp_run(struct qmp *qmp, const char *command)
{
	json_object_put(call(qmp, command, NULL));
}

bool qmp_guest_runs(struct qmp *qmp)
{
	struct json_object *reply = call(qmp, "query-status", NULL), *running;
	bool ret = json_object_object_get_ex(reply, "running", &running) &&
		   json_object_get_boolean(running);

	json_object_put(reply);
	return ret;
}

/* ---- where the blocks are ------------------------------------------------------------------- */

/* A backend's block has its id for a name, or, of older machines, its path. */
static struct block *find_block(struct blocks *blocks, const char *name)
{
	size_t i;

	if (!strncmp(name, "/objects/", 9))
		name += 9;
	for (i = 0; i < blocks->count; i++)
		if (!strcmp(blocks->item[i].name, name))
			return &blocks->item[i];
	return NULL;
}

/* All memory backends that have a name. */
static void list_backends(struct qmp *qmp, struct blocks *blocks)
{
	struct json_object *reply = call(qmp, "query-memdev", NULL), *id;
	size_t i;

	for (i = 0; i < json_object_array_length(reply) && blocks->count < MAX_BLOCKS; i++) {
		struct block *block = &blocks->item[blocks->count];

		if (!json_object_object_get_ex(json_object_array_get_idx(reply, i), "id", &id))
			continue;
		snprintf(block->name, sizeof(block->name), "%s", json_object_get_string(id));
		blocks->count++;
	}
	json_object_put(reply);
}

/*
 * "  FIRST-LAST (prio N, ram): NAME @OFFSET", in the view of the guest's memory. rom is RAM that
 * the guest cannot write now.
 */
static void parse_flat_view(char *text, struct blocks *blocks)
{
	char *rest = text, *line, name[NAME_ROOM], kind[16];
	bool memory = false;

	while ((line = strsep(&rest, "\r\n"))) {
		uint64_t first, last, offset = 0;
		struct block *block;

		if (!strncmp(line, "FlatView #", 10)) {
			if (memory)
				return;
		} else if (!strncmp(line, " AS \"memory\"", 12)) {
			memory = true;
		} else if (memory &&
			   sscanf(line,
				  " %" SCNx64 "-%" SCNx64 " (prio %*d, %15[^)]): %127s @%" SCNx64,
				  &first, &last, kind, name, &offset) >= 4 &&
			   (!strcmp(kind, "ram") || !strcmp(kind, "rom") ||
			    !strcmp(kind, "romd"))) {
			block = find_block(blocks, name);
			if (block)
				block_add_piece(block, first, offset, last - first + 1);
		}
	}
}

/* "NAME PSIZE ... HVA rw": QEMU 8 and later tell the address; those before end with the size. */
static void parse_ram_blocks(char *text, struct blocks *blocks)
{
	char *rest = text, *line;

	while ((line = strsep(&rest, "\r\n"))) {
		char *word, *last[2] = {NULL, NULL};
		struct block *block;

		word = strsep(&line, " ");
		while (word && !*word)
			word = strsep(&line, " ");
		block = word ? find_block(blocks, word) : NULL;
		while ((word = strsep(&line, " "))) {
			if (!*word)
				continue;
			last[0] = last[1];
			last[1] = word;
		}
		if (!block || !last[0] || (strcmp(last[1], "rw") && strcmp(last[1], "ro")))
			continue;
		block->address = strtoull(last[0], NULL, 16);
		block->have_address = true;
	}
}

static int by_address(const void *a, const void *b)
{
	uint64_t left = ((const struct block *)a)->piece[0].address;
	uint64_t right = ((const struct block *)b)->piece[0].address;

	return left < right ? -1 : left > right;
}

void qmp_find_blocks(struct qmp *qmp, pid_t pid, struct blocks *blocks)
{
	struct blocks *all = calloc(1, sizeof(*all));
	char *text;
	size_t i;

	if (!all)
		die("out of memory");
	list_backends(qmp, all);
	text = monitor(qmp, "info mtree -f");
	parse_flat_view(text, all);
	free(text);
	text = monitor(qmp, "info ramblock");
	parse_ram_blocks(text, all);
	free(text);
	for (i = 0; i < all->count; i++)
		if (all->item[i].n_pieces)
			blocks->item[blocks->count++] = all->item[i];
	free(all);
	if (!blocks->count)
		die("QEMU %d: no memory backend is mapped in the guest; its RAM is not shared",
		    pid);
	qsort(blocks->item, blocks->count, sizeof(blocks->item[0]), by_address);
}

void block_add_piece(struct block *block, uint64_t address, uint64_t offset, uint64_t size)
{
	if (block->n_pieces == MAX_PIECES)
		die("block %s: the guest sees it in more than %d pieces", block->name, MAX_PIECES);
	block->piece[block->n_pieces++] =
		(struct piece){.seen = true, .address = address, .offset = offset, .size = size};
}

static int by_offset(const void *a, const void *b)
{
	uint64_t left = ((const struct piece *)a)->offset,
		 right = ((const struct piece *)b)->offset;

	return left < right ? -1 : left > right;
}

/* A piece behind all others, or the longer last one. */
static void append(struct block *block, struct piece piece)
{
	struct piece *last = block->n_pieces ? &block->piece[block->n_pieces - 1] : NULL;

	if (last && last->seen && piece.seen && last->offset + last->size == piece.offset &&
	    last->address + last->size == piece.address) {
		last->size += piece.size;
		return;
	}
	block_add_piece(block, piece.address, piece.offset, piece.size);
	block->piece[block->n_pieces - 1].seen = piece.seen;
}

void block_cover(struct block *block, uint64_t size)
{
	struct piece piece[MAX_PIECES];
	size_t count = block->n_pieces, i;
	uint64_t end = 0;

	memcpy(piece, block->piece, count * sizeof(piece[0]));
	qsort(piece, count, sizeof(piece[0]), by_offset);
	block->n_pieces = 0;
	for (i = 0; i < count; i++) {
		if (piece[i].offset > end)
			append(block, (struct piece){.offset = end, .size = piece[i].offset - end});
		append(block, piece[i]);
		end = piece[i].offset + piece[i].size;
	}
	if (end > size)
		die("block %s: QEMU shows %" PRIu64 " bytes of it, but the object has %" PRIu64,
		    block->name, end, size);
	if (end < size)
		append(block, (struct piece){.offset = end, .size = size - end});
}

/* ---- by rule -------------------------------------------------------------------------------- */

static uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t ret = strtoull(text, &end, 10);

	switch (toupper((unsigned char)*end)) {
	case 'K':
		return ret << 10;
	case 'M':
		return ret << 20;
	case 'G':
		return ret << 30;
	}
	return ret;
}

/* Of -machine q35,max-ram-below-4g=2G. */
static void parse_machine(char *options, char *machine, uint64_t *most)
{
	char *option;

	while ((option = strsep(&options, ",")))
		if (!strncmp(option, "max-ram-below-4g=", 17))
			*most = parse_size(option + 17);
		else if (!strncmp(option, "type=", 5))
			snprintf(machine, NAME_ROOM, "%s", option + 5);
		else if (*option && !strchr(option, '='))
			snprintf(machine, NAME_ROOM, "%s", option);
}

static void read_command_line(pid_t pid, char *machine, uint64_t *most)
{
	char path[32], *word = NULL;
	size_t room = 0;
	FILE *file;
	bool is_value = false;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	file = fopen(path, "re");
	if (!file)
		die("process %d: %s", pid, strerror(errno));
	while (getdelim(&word, &room, 0, file) > 0) {
		const char *option = word + strspn(word, "-");

		if (is_value)
			parse_machine(word, machine, most);
		is_value = *word == '-' && (!strcmp(option, "machine") || !strcmp(option, "M"));
	}
	free(word);
	fclose(file);
}

uint64_t bytes_below_4g(pid_t pid, uint64_t size)
{
	char machine[NAME_ROOM] = "pc";
	uint64_t most = 0, below;

	read_command_line(pid, machine, &most);
	if (!strncmp(machine, "q35", 3) || !strncmp(machine, "pc-q35", 6)) {
		below = size >= 0xb0000000 ? 2 * GIB : 0xb0000000;
		return most && most < below ? most : below;
	}
	if (strcmp(machine, "pc") && strncmp(machine, "pc-i440fx", 9))
		die("QEMU %d: no rule for machine %s: use --qmp or --below-4g", pid, machine);
	if (!most)
		most = 0xe0000000;
	return size >= most && most > 3 * GIB ? 3 * GIB : most;
}
