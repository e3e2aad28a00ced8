# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Building out of the tree. Sourced by the tools, in the tree's top folder.

# Runs a command; shows what it said only if it fails.
quietly() { # LOG COMMAND...
    local log=$1 status
    shift
    "$@" >"$log" 2>&1 </dev/null && return
    status=$?
    cat "$log" >&2
    return $status
}

# Prints a file that configure is made from and that is newer than it, or "configure".
configure_is_old() {
    if [ ! -e configure ] || [ ! -e Makefile.in ]; then
        echo configure
        return
    fi
    find configure.ac Makefile.am m4 src bpf systemd man tools tests \
        \( -name configure.ac -o -name '*.am' -o -name '*.m4' \) -newer configure -print -quit
}

# All made by "sudo" that belongs to the tree of another user goes to that user.
give_back() { # FILE...
    local owner
    owner=$(stat -c %u:%g .)
    [ "$(id -u)" != 0 ] || [ "$owner" = 0:0 ] || chown -Rh "$owner" "$@"
}

# One after the other: "all" runs a make of its own, and two would write the same libraries.
make_each() { # DIR TARGET...
    local dir=$1 target
    shift
    for target; do
        quietly "$dir/make.log" make -C "$dir" -j "$(nproc)" "$target" || return
    done
}

# Configures DIR if that was not done with these options, and makes what is asked for. No options
# means: as it is configured, for a developer may have chosen some for build/.
build_tree() { # DIR "OPTIONS" TARGET...
    local dir=$1 options=$2 stamp=$1/.options top=$PWD
    shift 2
    mkdir -p "$dir" || return
    if [ ! -w "$dir" ] || { [ -e "$dir/config.log" ] && [ ! -w "$dir/config.log" ]; }; then
        echo "${0##*/}: $dir belongs to somebody else: remove it, or use sudo" >&2
        return 1
    fi
    if [ -n "$(configure_is_old)" ]; then
        quietly "$dir/autoreconf.log" autoreconf -fi || return
        # a run of automake that changes nothing leaves the time as it was
        touch configure
    fi
    if [ ! -e "$dir/Makefile" ] ||
        { [ -n "$options" ] && [ "$(cat "$stamp" 2>/dev/null)" != "$options" ]; }; then
        # objects that were made with other options must not stay
        [ ! -e "$dir/Makefile" ] || make -C "$dir" clean >/dev/null 2>&1
        # shellcheck disable=SC2086 # several words
        (cd "$dir" && quietly configure.log "$top/configure" $options) || return
        echo "$options" >"$stamp"
    fi
    make_each "$dir" "$@"
    set -- $?
    give_back "$dir" configure Makefile.in aclocal.m4 config.h.in build-aux autom4te.cache
    return "$1"
}
