# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which Debian packages are needed for what, and their installation. Sourced by the tools.

# libc6-dbg: valgrind cannot work with a stripped ld.so.
packages_build="gcc make autoconf automake libtool pkgconf libc6-dev libjson-c-dev libsystemd-dev libcmocka-dev clang bpftool libbpf-dev"
# mount has swapon and losetup, kmod has modprobe.
packages_run="util-linux mount kmod"
# Of the tests of the service.
packages_test="python3"
# debootstrap: for tests/vm. qemu-system-x86: for tests/system/guest.
packages_check="valgrind libc6-dbg shellcheck mandoc xz-utils debootstrap qemu-system-x86 varlink-go golang-go golang-github-varlink-go-dev"

# What not every Debian has; clang is there by now. libclang-rt has libFuzzer.
packages_wanted() {
    local name
    for name in python3-varlink "libclang-rt-$(clang -dumpversion | cut -d . -f 1)-dev"; do
        [ -z "$(apt-cache madison "$name" 2>/dev/null)" ] || echo "$name"
    done
}

# Prints those of its arguments that are not installed.
packages_missing() {
    local installed name
    installed=" $(dpkg-query -W -f '${Package}:${db:Status-Status} ' "$@" 2>/dev/null)"
    for name; do
        [[ $installed == *" $name:installed "* ]] || echo "$name"
    done
}

apt_install() { # LOG PACKAGE...
    local log=$1
    shift
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null
}

# Installs what is missing and says so. On failure one line tells why.
packages_install() { # PACKAGE...
    local missing log
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is no Debian system: what these packages hold must be there: $*" >&2
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "${0##*/}: missing, and only root can install: ${missing[*]}" >&2
        return 1
    fi
    echo "Installing ${missing[*]}"
    log=$(mktemp) || return 1
    # The package lists are fetched only if apt cannot do without: they may be missing or old.
    if ! apt_install "$log" "${missing[@]}" &&
        ! { apt-get update -q >"$log" 2>&1 && apt_install "$log" "${missing[@]}"; }; then
        echo "${0##*/}: could not install ${missing[*]}: $(apt_complaint "$log")" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

apt_complaint() { # LOG
    local line
    line=$(grep -m 1 '^E: ' "$1") || line=$(grep -m 1 '^Err:\|^W: ' "$1") || line=$(tail -n 1 "$1")
    echo "${line:-apt-get failed}"
}
