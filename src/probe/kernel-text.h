/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses of the kernel's arrays, where it names its functions but not its data. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_ARRAYS_MAX 16

/*
 * The addresses of static arrays of pointers of which the code reads an entry; what it finds may be
 * something else. Returns how many there are; on other machines than x86-64 none.
 */
size_t kernel_text_arrays(const uint8_t *text, size_t size, uint64_t ret[KERNEL_ARRAYS_MAX]);

/* An address in the kernel's half. */
static inline bool is_kernel_address(uint64_t address)
{
	return (int64_t)address < 0;
}
