/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "serve/config.h"
#include "util/array.h"
#include "util/file.h"
#include "util/parse.h"
#include "util/text.h"
#include "util/util.h"

#define SECTION "Service"

enum kind {
	COUNT,
	BYTES,
	PROBE,
	EVENTS,
};

/* Their text is what may be written in the file, too. */
static const struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *value; /* unless a file says otherwise */
	const char *least;
	const char *most;
} keys[] = {
	{"Workers", COUNT, offsetof(struct config, workers), "2", "1", "64"},
	{"Connections", COUNT, offsetof(struct config, connections), "4096", "1", "65536"},
	{"ConnectionsPerUser", COUNT, offsetof(struct config, connections_per_user), "1024", "1",
	 "65536"},
	{"PipelinedCalls", COUNT, offsetof(struct config, pipelined_calls), "64", "1", "4096"},
	{"MessageBytes", BYTES, offsetof(struct config, message_bytes), "1M", "64K", "16M"},
	{"QueuedBytes", BYTES, offsetof(struct config, queued_bytes), "4M", "64K", "256M"},
	{"QueuedScans", COUNT, offsetof(struct config, queued_scans), "256", "1", "65536"},
	{"HistoryBytes", BYTES, offsetof(struct config, history_bytes), "64M", "0", "16G"},
	{"ScanSeconds", COUNT, offsetof(struct config, scan_seconds), "30", "1", "3600"},
	{"SendSeconds", COUNT, offsetof(struct config, send_seconds), "30", "1", "3600"},
	{"IdleSeconds", COUNT, offsetof(struct config, idle_seconds), "60", "0", "86400"},
	{"SubscribeBatches", COUNT, offsetof(struct config, subscribe_batches), "10", "1", "1000"},
	{"Events", EVENTS, offsetof(struct config, events), "auto", NULL, NULL},
	{"Probe", PROBE, offsetof(struct config, probe), "auto", NULL, NULL},
};

/* Where in the files one is. */
struct reader {
	struct config config;
	config_complain complain;
	void *context;
	const char *file;
	unsigned line;
	enum {
		NOWHERE, /* before the first section */
		OURS,
		OTHERS, /* what somebody else keeps there, or was complained about */
	} section;
};

/* A drop-in: what it is called, and where it was found. */
struct drop_in {
	char *name;
	char *path;
};

struct drop_ins {
	struct drop_in *items;
	size_t n;
	size_t allocated;
};

/* Values */

/* auto: all that there is. */
static int events_from_string(const char *s)
{
	if (strcmp(s, "auto") == 0)
		return EVENTS_ALL;
	for (int i = 0; i < EVENTS_ALL; i++)
		if (strcmp(s, events_level_to_string((enum events_level)i)) == 0)
			return i;
	return -EINVAL;
}

static int parse_value(enum kind kind, const char *s, uint64_t *ret)
{
	int r;

	switch (kind) {
	case COUNT:
		return parse_u64(s, 10, ret);
	case BYTES:
		return parse_bytes(s, ret);
	case PROBE:
		r = probe_choice_from_string(s);
		if (r < 0 || r == PROBE_VERIFY)
			return -EINVAL;
		*ret = (uint64_t)r;
		return 0;
	case EVENTS:
		r = events_from_string(s);
		if (r < 0)
			return r;
		*ret = (uint64_t)r;
		return 0;
	}
	return -EINVAL;
}

static int parse_within(const struct key *key, const char *s, uint64_t *ret)
{
	uint64_t v, least = 0, most = UINT64_MAX;
	int r = parse_value(key->kind, s, &v);

	if (r < 0)
		return r;
	if (key->least)
		(void)parse_value(key->kind, key->least, &least);
	if (key->most)
		(void)parse_value(key->kind, key->most, &most);
	if (v < least || v > most)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* More workers than there are processors would only be in each other's way. */
static uint64_t default_value(const struct key *key)
{
	uint64_t v = 0;

	(void)parse_within(key, key->value, &v);
	if (key->offset == offsetof(struct config, workers)) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		if (cpus > 0 && (uint64_t)cpus < v)
			v = (uint64_t)cpus;
	}
	return v;
}

static void put(struct config *config, const struct key *key, uint64_t v)
{
	void *field = (char *)config + key->offset;

	switch (key->kind) {
	case COUNT:
		*(unsigned *)field = (unsigned)v;
		break;
	case BYTES:
		*(size_t *)field = (size_t)v;
		break;
	case PROBE:
		*(enum probe_choice *)field = (enum probe_choice)v;
		break;
	case EVENTS:
		*(enum events_level *)field = (enum events_level)v;
		break;
	}
}

void config_default(struct config *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put(ret, &keys[i], default_value(&keys[i]));
}

/* Lines */

_printf_(2, 3) static void complain(const struct reader *reader, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	reader->complain(reader->context, reader->file, reader->line, message);
}

/* What a file holds need not be printable, nor short. */
static const char *quote(const char *s, char buf[static 64])
{
	_cleanup_free_ char *escaped = text_escape(s);

	if (!escaped)
		return "?";
	if (strlen(escaped) < 64)
		return strcpy(buf, escaped);
	(void)snprintf(buf, 64, "%.60s...", escaped);
	return buf;
}

static void complain_of_value(const struct reader *reader, const struct key *key, const char *value)
{
	char quoted[64];

	(void)quote(value, quoted);
	switch (key->kind) {
	case COUNT:
		complain(reader, "%s=%s: expected a whole number from %s to %s", key->name, quoted,
			 key->least, key->most);
		break;
	case BYTES:
		complain(reader,
			 "%s=%s: expected a number of bytes from %s to %s, with K or M behind it",
			 key->name, quoted, key->least, key->most);
		break;
	case PROBE:
		complain(reader, "%s=%s: expected one of auto, walk, portable", key->name, quoted);
		break;
	case EVENTS:
		complain(reader, "%s=%s: expected one of auto, swap_out, none", key->name, quoted);
		break;
	}
}

static void assign(struct reader *reader, const char *name, const char *value)
{
	char quoted[64];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t v;

		if (strcmp(name, keys[i].name) != 0)
			continue;
		if (*value == '\0')
			put(&reader->config, &keys[i], default_value(&keys[i]));
		else if (parse_within(&keys[i], value, &v) == 0)
			put(&reader->config, &keys[i], v);
		else
			complain_of_value(reader, &keys[i], value);
		return;
	}
	/* As in units: for whoever keeps notes of his own. */
	if (strncmp(name, "X-", 2) != 0)
		complain(reader, "%s=: there is no such key in [" SECTION "]", quote(name, quoted));
}

/* Cuts off the blanks on both sides, in place. */
static char *strip(char *s)
{
	static const char blanks[] = " \t\r";
	size_t n;

	s += strspn(s, blanks);
	n = strlen(s);
	while (n > 0 && strchr(blanks, s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

static void read_section(struct reader *reader, const char *line)
{
	char quoted[64];

	if (strcmp(line, "[" SECTION "]") == 0) {
		reader->section = OURS;
		return;
	}
	reader->section = OTHERS;
	if (line[strlen(line) - 1] != ']')
		complain(reader, "%s: expected ] at the end", quote(line, quoted));
	else if (strncmp(line, "[X-", 3) != 0)
		complain(reader, "%s: there is no such section, only [" SECTION "]",
			 quote(line, quoted));
}

static void read_line(struct reader *reader, char *line)
{
	char quoted[64], *equals;

	line = strip(line);
	if (*line == '\0' || *line == '#' || *line == ';')
		return;
	if (*line == '[') {
		read_section(reader, line);
		return;
	}
	if (reader->section == OTHERS)
		return;
	equals = strchr(line, '=');
	if (!equals || equals == line) {
		complain(reader, "%s: expected KEY=VALUE", quote(line, quoted));
		return;
	}
	if (reader->section == NOWHERE) {
		complain(reader, "%s: expected [" SECTION "] before it", quote(line, quoted));
		return;
	}
	*equals = '\0';
	assign(reader, strip(line), strip(equals + 1));
}

/* Files */

/* What is masked by a link to /dev/null is empty. */
static int read_file(struct reader *reader, const char *file)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;
	ssize_t n;

	n = file_read_at(AT_FDCWD, file, &text);
	if (n < 0)
		return (int)n;
	reader->file = file;
	reader->line = 0;
	reader->section = NOWHERE;
	if (strlen(text) != (size_t)n) {
		complain(reader, "it holds a NUL byte, so it is no text: none of it is used");
		return 0;
	}
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		reader->line++;
		read_line(reader, line);
	}
	return 0;
}

/* Returns 1 if it was there, 0 if not, or -ENOMEM. */
static int read_if_there(struct reader *reader, const char *file)
{
	int r = read_file(reader, file);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		reader->file = file;
		reader->line = 0;
		complain(reader, "cannot be read: %s", strerror(-r));
	}
	return 1;
}

/* What stands further up goes before what is further down. */
static const char *const folders[] = {
	"/etc/shmstate",
	"/run/shmstate",
	"/usr/local/lib/shmstate",
	"/usr/lib/shmstate",
};

static int read_main_file(struct reader *reader, const char *root)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = NULL;
		int r;

		if (asprintf(&path, "%s%s/shmstated.conf", root, folders[i]) < 0)
			return -ENOMEM;
		r = read_if_there(reader, path);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return 0;
}

static void drop_ins_done(struct drop_ins *drop_ins)
{
	for (size_t i = 0; i < drop_ins->n; i++) {
		free(drop_ins->items[i].name);
		free(drop_ins->items[i].path);
	}
	free(drop_ins->items);
}

static bool drop_ins_have(const struct drop_ins *drop_ins, const char *name)
{
	for (size_t i = 0; i < drop_ins->n; i++)
		if (strcmp(drop_ins->items[i].name, name) == 0)
			return true;
	return false;
}

static int drop_ins_add(struct drop_ins *drop_ins, const char *folder, const char *name)
{
	struct drop_in new = {0};
	int r = ARRAY_RESERVE(&drop_ins->items, &drop_ins->allocated, drop_ins->n);

	if (r < 0)
		return r;
	new.name = strdup(name);
	if (!new.name)
		return -ENOMEM;
	if (asprintf(&new.path, "%s/%s", folder, name) < 0) {
		free(new.name);
		return -ENOMEM;
	}
	drop_ins->items[drop_ins->n++] = new;
	return 0;
}

static bool is_conf(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > strlen(".conf") &&
	       strcmp(name + n - strlen(".conf"), ".conf") == 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int find_drop_ins(struct reader *reader, const char *folder, struct drop_ins *drop_ins)
{
	_cleanup_(closedirp) DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!dir && errno == ENOMEM)
		return -ENOMEM;
	if (!dir) {
		reader->file = folder;
		reader->line = 0;
		complain(reader, "cannot be read: %s", strerror(errno));
		return 0;
	}
	while ((entry = readdir(dir))) {
		int r;

		if (!is_conf(entry->d_name) || drop_ins_have(drop_ins, entry->d_name))
			continue;
		r = drop_ins_add(drop_ins, folder, entry->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

static int read_drop_ins(struct reader *reader, const char *root)
{
	_cleanup_(drop_ins_done) struct drop_ins drop_ins = {0};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *folder = NULL;

		if (asprintf(&folder, "%s%s/shmstated.conf.d", root, folders[i]) < 0)
			return -ENOMEM;
		r = find_drop_ins(reader, folder, &drop_ins);
		if (r < 0)
			return r;
	}
	if (drop_ins.n > 0)
		qsort(drop_ins.items, drop_ins.n, sizeof(*drop_ins.items), compare_names);
	for (size_t i = 0; i < drop_ins.n; i++) {
		r = read_if_there(reader, drop_ins.items[i].path);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_load(const char *root, const char *file, config_complain complain_to, void *context,
		struct config *ret)
{
	struct reader reader = {.complain = complain_to, .context = context};
	int r;

	config_default(&reader.config);
	if (file) {
		r = read_file(&reader, file);
	} else {
		r = read_main_file(&reader, root ? root : "");
		if (r == 0)
			r = read_drop_ins(&reader, root ? root : "");
	}
	if (r < 0)
		return r;
	reader.config.queued_bytes = MAX(reader.config.queued_bytes, reader.config.message_bytes);
	*ret = reader.config;
	return 0;
}
