/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "probe/kernel-text.h"

#ifdef __x86_64__

/* The displacements of instructions "mov disp32(,%reg,8),%reg". */
size_t kernel_text_arrays(const uint8_t *text, size_t size, uint64_t ret[KERNEL_ARRAYS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i + 8 <= size && n < KERNEL_ARRAYS_MAX; i++) {
		const uint8_t *p = text + i;
		int32_t displacement;

		if ((p[0] & 0xf8) != 0x48 || p[1] != 0x8b || (p[2] & 0xc7) != 0x04 ||
		    (p[3] & 0xc7) != 0xc5)
			continue;
		memcpy(&displacement, p + 4, sizeof(displacement));
		ret[n++] = (uint64_t)(int64_t)displacement;
	}
	return n;
}

#else

size_t kernel_text_arrays(const uint8_t *text, size_t size, uint64_t ret[KERNEL_ARRAYS_MAX])
{
	(void)text;
	(void)size;
	(void)ret;
	return 0;
}

#endif
