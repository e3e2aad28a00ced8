/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * BTF that is not that of the kernel at hand, as a newer kernel's may be: this process, and what it
 * starts, finds it where the kernel's own is found, /sys/kernel/btf/vmlinux. So what is tried is
 * the program as it is, with no door in it that only tests use. (The kernel itself relocates light
 * skeletons, by BTF that it keeps to itself: the iterators of discovery cannot be fed.)
 *
 * Types keep their numbers, for those are the kernel's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALTERATION_PATCHES 16

/* What is to be changed of a member. The first that holds it, if there are unnamed ones within. */
enum alter {
	ALTER_NAME,     /* of the member */
	ALTER_LATER,    /* 8 bytes further on */
	ALTER_EARLIER,  /* 8 bytes back */
	ALTER_NEXT,     /* change places with the member behind it */
	ALTER_PREVIOUS, /* with the one before it */
};

const char *alter_to_string(enum alter how);

struct alteration {
	size_t n;
	struct {
		size_t at; /* bytes of the file */
		uint32_t value;
	} patches[ALTERATION_PATCHES];
};

/*
 * Puts a copy of the kernel's BTF in its place, for this process and its children. Returns 0 or a
 * negative errno: no BTF, or no privilege to mount.
 */
int altered_btf_begin(void);
void altered_btf_end(void);

/*
 * These make an alteration of all types that have the name. False: there is nothing to be altered,
 * for this kernel has no such thing, or it stands first or last.
 */
bool alter_member(const char *type, const char *member, enum alter how, struct alteration *ret);
/* To where the k-th member is (counted through unnamed ones). */
bool alter_place(const char *type, const char *member, unsigned k, struct alteration *ret);
bool alter_type_name(const char *type, struct alteration *ret);
bool alter_type_size(const char *type, int bytes, struct alteration *ret);
bool alter_value_name(const char *value, struct alteration *ret);
bool alter_value(const char *value, int by, struct alteration *ret);

/* From here on the BTF is altered so, and nothing else; NULL: not at all. */
void altered_btf_set(const struct alteration *a);
