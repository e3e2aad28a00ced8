# SPDX-License-Identifier: LGPL-2.1-or-later

# SHMSTATE_ARG_DIR(NAME, WHAT, FOLDER): the option --with-NAME=DIR, or "no" for none; else FOLDER in
# ${prefix}/lib. Sets NAME, and the conditional INSTALL_NAME.
AC_DEFUN([SHMSTATE_ARG_DIR], [
	AC_ARG_WITH([$1],
		[AS_HELP_STRING([--with-$1=DIR], [folder of $2, or "no" [PREFIX/lib/$3]])],
		[AS_CASE([$withval], [yes], [$1='${prefix}/lib/$3'], [no], [$1=], [$1=$withval])],
		[$1='${prefix}/lib/$3'])
	AC_SUBST([$1])
	AM_CONDITIONAL(m4_toupper([install_$1]), [test -n "$$1"])
])
