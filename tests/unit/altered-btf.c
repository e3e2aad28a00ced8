/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "altered-btf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "util/file.h"
#include "util/util.h"

#define VMLINUX "/sys/kernel/btf/vmlinux"

static struct btf *btf; /* the kernel's own */
static int file = -1;   /* what is in its place */

const char *alter_to_string(enum alter how)
{
	static const char *const names[] = {
		[ALTER_NAME] = "renamed",
		[ALTER_LATER] = "8 bytes on",
		[ALTER_EARLIER] = "8 bytes back",
		[ALTER_NEXT] = "swapped with the next",
		[ALTER_PREVIOUS] = "swapped with the previous",
	};

	return names[how];
}

static int put_in_place(const void *data, size_t size)
{
	char path[] = "/tmp/shmstate-btf.XXXXXX";
	int r = 0;

	file = mkostemp(path, O_CLOEXEC);
	if (file < 0)
		return -errno;
	if (write(file, data, size) != (ssize_t)size)
		r = -EIO;
	/* Not to be seen from elsewhere. */
	if (r == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	     mount(path, VMLINUX, NULL, MS_BIND, NULL) < 0))
		r = -errno;
	unlink(path);
	return r;
}

int altered_btf_begin(void)
{
	const void *data;
	uint32_t size;

	btf = btf__parse(VMLINUX, NULL);
	if (!btf)
		return -errno;
	data = btf__raw_data(btf, &size);
	return data ? put_in_place(data, size) : -errno;
}

void altered_btf_end(void)
{
	btf__free(btf);
	btf = NULL;
	closep(&file);
}

static uint32_t read_at(size_t at)
{
	uint32_t size, value;

	memcpy(&value, (const char *)btf__raw_data(btf, &size) + at, sizeof(value));
	return value;
}

/* p lies in the data of the BTF. */
static bool patch(struct alteration *a, const uint32_t *p, uint32_t value)
{
	uint32_t size;

	if (a->n == ALTERATION_PATCHES)
		return false;
	a->patches[a->n].at = (size_t)((const char *)p - (const char *)btf__raw_data(btf, &size));
	a->patches[a->n++].value = value;
	return true;
}

/* A name without its first letter is another one, and is in the file already. */
static bool patch_name(struct alteration *a, const uint32_t *name)
{
	return patch(a, name, *name + 1);
}

static bool is_named(const struct btf_type *t, const char *name)
{
	return strcmp(btf__name_by_offset(btf, t->name_off), name) == 0;
}

/* A member, and where the structure that it is in begins in the one that has a name. */
struct place {
	const struct btf_type *type;
	unsigned k;
	uint32_t bits;
};

/*
 * The member of that name (NULL: the one that *left others come before), in the type or in what is
 * unnamed in it.
 */
static bool find_member(const struct btf_type *t, const char *name, uint32_t bits, unsigned *left,
			struct place *ret)
{
	const struct btf_member *m = btf_members(t);

	for (unsigned k = 0; k < btf_vlen(t); k++) {
		const struct btf_type *inner = btf__type_by_id(btf, m[k].type);
		uint32_t at = bits + btf_member_bit_offset(t, k);

		if (m[k].name_off == 0 && btf_is_composite(inner)) {
			if (find_member(inner, name, at, left, ret))
				return true;
			continue;
		}
		if (name ? strcmp(btf__name_by_offset(btf, m[k].name_off), name) == 0
			 : (*left)-- == 0) {
			*ret = (struct place){t, k, bits};
			return true;
		}
	}
	return false;
}

static bool patch_offset(struct alteration *a, const struct place *p, int64_t bits)
{
	const struct btf_member *m = btf_members(p->type) + p->k;
	int64_t offset = bits - p->bits;

	/* Of a structure with bit fields the upper bits say how long the field is. */
	return offset >= 0 && offset < 1 << 24 &&
	       patch(a, &m->offset,
		     btf_kflag(p->type) ? (m->offset & 0xff000000) | (uint32_t)offset
					: (uint32_t)offset);
}

static bool exchange(struct alteration *a, const struct place *p, unsigned other)
{
	struct place q = {p->type, other, p->bits};

	if (other >= btf_vlen(p->type))
		return false;
	return patch_offset(a, p, (int64_t)p->bits + btf_member_bit_offset(p->type, other)) &&
	       patch_offset(a, &q, (int64_t)p->bits + btf_member_bit_offset(p->type, p->k));
}

static bool change_member(struct alteration *a, const struct place *p, enum alter how)
{
	int64_t at = (int64_t)p->bits + btf_member_bit_offset(p->type, p->k);

	switch (how) {
	case ALTER_NAME:
		return patch_name(a, &btf_members(p->type)[p->k].name_off);
	case ALTER_LATER:
		return patch_offset(a, p, at + 64);
	case ALTER_EARLIER:
		return patch_offset(a, p, at - 64);
	case ALTER_NEXT:
		return exchange(a, p, p->k + 1);
	case ALTER_PREVIOUS:
		return exchange(a, p, p->k - 1);
	}
	return false;
}

/* The next structure of that name. There may be several: CO-RE looks at all of them. */
static const struct btf_type *next_struct(const char *name, uint32_t *id)
{
	while (++*id < btf__type_cnt(btf)) {
		const struct btf_type *t = btf__type_by_id(btf, *id);

		if (btf_is_struct(t) && is_named(t, name))
			return t;
	}
	return NULL;
}

bool alter_member(const char *type, const char *member, enum alter how, struct alteration *ret)
{
	const struct btf_type *t;
	struct place place;

	*ret = (struct alteration){0};
	for (uint32_t id = 0; (t = next_struct(type, &id));)
		if (find_member(t, member, 0, NULL, &place) && !change_member(ret, &place, how))
			return false;
	return ret->n > 0;
}

bool alter_place(const char *type, const char *member, unsigned k, struct alteration *ret)
{
	const struct btf_type *t;
	struct place from, to;

	*ret = (struct alteration){0};
	for (uint32_t id = 0; (t = next_struct(type, &id));) {
		unsigned left = k;

		if (!find_member(t, member, 0, NULL, &from))
			continue;
		if (!find_member(t, NULL, 0, &left, &to) ||
		    !patch_offset(ret, &from,
				  (int64_t)to.bits + btf_member_bit_offset(to.type, to.k)))
			return false;
	}
	return ret->n > 0;
}

bool alter_type_name(const char *type, struct alteration *ret)
{
	const struct btf_type *t;

	*ret = (struct alteration){0};
	for (uint32_t id = 0; (t = next_struct(type, &id));)
		if (!patch_name(ret, &t->name_off))
			return false;
	return ret->n > 0;
}

bool alter_type_size(const char *type, int bytes, struct alteration *ret)
{
	const struct btf_type *t;

	*ret = (struct alteration){0};
	for (uint32_t id = 0; (t = next_struct(type, &id));)
		if ((int)t->size + bytes <= 0 || !patch(ret, &t->size, t->size + (uint32_t)bytes))
			return false;
	return ret->n > 0;
}

static const struct btf_enum *find_value(const char *name)
{
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		for (unsigned k = 0; btf_is_enum(t) && k < btf_vlen(t); k++)
			if (strcmp(btf__name_by_offset(btf, btf_enum(t)[k].name_off), name) == 0)
				return &btf_enum(t)[k];
	}
	return NULL;
}

bool alter_value_name(const char *value, struct alteration *ret)
{
	const struct btf_enum *e = find_value(value);

	*ret = (struct alteration){0};
	return e && patch_name(ret, &e->name_off);
}

bool alter_value(const char *value, int by, struct alteration *ret)
{
	const struct btf_enum *e = find_value(value);

	*ret = (struct alteration){0};
	return e && e->val + by >= 0 &&
	       patch(ret, (const uint32_t *)&e->val, (uint32_t)(e->val + by));
}

static void write_at(size_t at, uint32_t value)
{
	if (pwrite(file, &value, sizeof(value), (off_t)at) != sizeof(value))
		abort();
}

void altered_btf_set(const struct alteration *a)
{
	static struct alteration last;

	for (size_t i = 0; i < last.n; i++)
		write_at(last.patches[i].at, read_at(last.patches[i].at));
	last = a ? *a : (struct alteration){0};
	for (size_t i = 0; i < last.n; i++)
		write_at(last.patches[i].at, last.patches[i].value);
}
