# SPDX-License-Identifier: LGPL-2.1-or-later

# SHMSTATE_CHECK_BPF
# What it takes to build BPF programs: libbpf, a clang that knows the target, and bpftool. Nothing of
# the running kernel is needed.
AC_DEFUN([SHMSTATE_CHECK_BPF], [
	PKG_CHECK_MODULES([LIBBPF], [libbpf >= 1.0], [],
		[AC_MSG_ERROR([libbpf >= 1.0 is missing; install it, or leave BPF out by --disable-bpf])])
	AC_ARG_VAR([BPF_CLANG], [a clang that can compile for the target bpf])
	AC_PATH_PROGS([BPF_CLANG], [clang])
	AC_ARG_VAR([BPFTOOL], [bpftool, which makes the skeletons])
	AC_PATH_PROGS([BPFTOOL], [bpftool], [], [$PATH$PATH_SEPARATOR/usr/sbin$PATH_SEPARATOR/sbin])
	AS_IF([test -z "$BPF_CLANG" || test -z "$BPFTOOL"],
		[AC_MSG_ERROR([clang or bpftool is missing; install them, or leave BPF out by --disable-bpf])])

	# Headers of the target's libc-dev lie in a folder of the architecture on Debian.
	BPF_CPPFLAGS=
	multiarch=$($CC -print-multiarch 2>/dev/null)
	AS_IF([test -n "$multiarch" && test -d "/usr/include/$multiarch"],
		[BPF_CPPFLAGS="-idirafter /usr/include/$multiarch"])
	AC_MSG_CHECKING([whether $BPF_CLANG compiles for bpf])
	cat >conftest.bpf.c <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
END
	AS_IF([$BPF_CLANG -target bpf -g -O2 $BPF_CPPFLAGS $LIBBPF_CFLAGS -c conftest.bpf.c -o conftest.bpf.o \
			2>&AS_MESSAGE_LOG_FD],
		[AC_MSG_RESULT([yes])],
		[AC_MSG_RESULT([no])
		 AC_MSG_ERROR([it does not; see config.log, or leave BPF out by --disable-bpf])])
	rm -f conftest.bpf.c conftest.bpf.o
	AC_SUBST([BPF_CPPFLAGS])
	AC_DEFINE([HAVE_BPF], [1], [Define to 1 if BPF programs are built in.])
])
