# SPDX-License-Identifier: LGPL-2.1-or-later

# SHMSTATE_CHECK_GUEST
# Can the compiler make a 32-bit program of an x86 that needs no library? Sets HAVE_GUEST for automake.
AC_DEFUN([SHMSTATE_CHECK_GUEST], [
	AC_CACHE_CHECK([whether $CC makes guests for tests], [shmstate_cv_guest], [
		saved_CFLAGS=$CFLAGS
		saved_LIBS=$LIBS
		CFLAGS="-m32 -march=i686 -ffreestanding -fno-pic -fno-pie -nostdlib -static -Wl,--build-id=none"
		LIBS=
		AC_LINK_IFELSE([AC_LANG_SOURCE([
			#include <stdint.h>
			void _start(void) { __asm__ volatile("outb %0, %1" : : "a"((uint8_t)0), "Nd"((uint16_t)0)); }])],
			[shmstate_cv_guest=yes], [shmstate_cv_guest=no])
		CFLAGS=$saved_CFLAGS
		LIBS=$saved_LIBS
	])
	AM_CONDITIONAL([HAVE_GUEST], [test "$shmstate_cv_guest" = yes])
])
