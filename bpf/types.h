/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
#pragma once

/* The same names on both sides of a shared structure. BPF programs have no libc. */

#ifdef __bpf__
#include <linux/types.h>
typedef __u8 uint8_t;
typedef __s32 int32_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#else
#include <stdint.h>
#endif
