# SPDX-License-Identifier: LGPL-2.1-or-later
# SHMSTATE_CHECK_FLAGS(VARIABLE, FLAGS): sets VARIABLE to those of FLAGS that the compiler knows.
AC_DEFUN([SHMSTATE_CHECK_FLAGS], [
	$1=
	for flag in m4_normalize([$2]); do
		AS_VAR_PUSHDEF([cache], [shmstate_cv_flag_$flag])
		AC_CACHE_CHECK([whether $CC takes $flag], [cache], [
			saved_CFLAGS=$CFLAGS
			CFLAGS="$CFLAGS -Werror $flag"
			AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
				[AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
			CFLAGS=$saved_CFLAGS
		])
		AS_VAR_IF([cache], [yes], [$1="$$1 $flag"])
		AS_VAR_POPDEF([cache])
	done
])
