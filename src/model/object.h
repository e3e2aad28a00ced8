/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A shared memory object, who holds it and who maps it. No system calls in this folder. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum object_kind {
	OBJECT_MEMFD,
	OBJECT_TMPFS,   /* a file of a tmpfs mount, perhaps deleted */
	OBJECT_SYSV,    /* a System V segment; its inode number is the shmid */
	OBJECT_ANON,    /* anonymous MAP_SHARED */
	OBJECT_SHMEM,   /* made by the kernel for itself, a graphics buffer for one */
	OBJECT_HUGETLB, /* from here on: never swapped */
	OBJECT_SECRETMEM,
	OBJECT_GUEST_MEMFD,
	OBJECT_KIND_MAX,
};

const char *object_kind_to_string(enum object_kind kind);
int object_kind_from_string(const char *s); /* or -EINVAL */
/* Hugetlb pages, secretmem and guest_memfd cannot be swapped, and have no states here. */
bool object_kind_is_swappable(enum object_kind kind);

/*
 * DEV:INO as in /proc/PID/maps, MAJOR:MINOR in hexadecimal and the inode number in decimal. That is
 * not always unique (see probe/generation.h); with @GENERATION behind it (hexadecimal) it is.
 */
struct object_id {
	dev_t dev;
	ino_t ino;
	bool have_generation;
	uint32_t generation;
};

#define OBJECT_ID_MAX 64

/* Writes the id, with the generation if with_generation and it is known. buf: OBJECT_ID_MAX bytes.
 */
const char *object_id_format(const struct object_id *id, bool with_generation, char *buf);
/* Returns 0 or -EINVAL. */
int object_id_parse(const char *s, struct object_id *ret);
/* Same device and inode, and no difference in what is known of the generations. */
bool object_id_match(const struct object_id *a, const struct object_id *b);

/* A descriptor of the object. */
struct object_holder {
	pid_t pid;
	int fd;
};

/* A mapping of a part of it. */
struct object_mapper {
	pid_t pid;
	uint64_t start;  /* bytes, address space */
	uint64_t end;    /* not included */
	uint64_t offset; /* bytes, object */
	bool shared;     /* false: MAP_PRIVATE, written pages are the process's own */
};

/* Owns all it points to. */
struct object {
	struct object_id id;
	enum object_kind kind;
	char *name;   /* raw bytes: memfd name, path, SYSVkey; NULL if it has none */
	bool deleted; /* a tmpfs file without a name in the tree */
	bool barred;  /* whoever asks is not to be told what its pages are */
	bool leased;  /* somebody has a lease on it, see fcntl(2) F_SETLEASE; false: not known */
	bool have_size;
	uint64_t size;       /* bytes */
	uint64_t page_size;  /* bytes; the huge page size for hugetlb */
	struct object *twin; /* the next one with the same DEV:INO; borrowed */
	bool has_twin;       /* the id needs its generation to be unique */
	struct object_holder *holders;
	size_t n_holders, n_holders_allocated;
	struct object_mapper *mappers;
	size_t n_mappers, n_mappers_allocated;
};

struct object *object_free(struct object *o); /* NULL is fine; returns NULL */

/* A copy that knows n of the holders at most, and as many mappers. NULL: out of memory. */
struct object *object_copy(const struct object *o, size_t n);

int object_add_holder(struct object *o, const struct object_holder *holder);
int object_add_mapper(struct object *o, const struct object_mapper *mapper);

/* How many different processes hold or map it. */
size_t object_count_processes(const struct object *o);
