# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What virtual machines and containers are made of, kept between runs in one folder; nothing
# outside it is written. Sourced in the tree's top folder, after tools/lib/debian-root.sh.
#
#   tools/    a Debian 13 with a compiler, QEMU, mkfs and systemd-nspawn, in which all else is done
#   guest/    a smaller one that boots
#   apt/      package lists, of each suite that kernels come from
#   kernels/  unpacked, by version
#   src/ build/ dest/   this tree, built, and as make install puts it
#   run.PID/            what a run boots, while it runs

# shellcheck disable=SC2154 # $run
cache=${SHMSTATE_VM_CACHE:-/var/cache/shmstate-vm}
debian=trixie

# What the tree is built with, then what runs and fills the machines.
tools_packages="gcc make autoconf automake libtool pkgconf libc6-dev libjson-c-dev libsystemd-dev libcmocka-dev clang bpftool libbpf-dev
    qemu-system-x86 seabios e2fsprogs kmod systemd-container
    varlink-go golang-go golang-github-varlink-go-dev"
guest_packages="systemd systemd-sysv dbus udev kmod procps libbpf1 libjson-c5 libcmocka0 python3-varlink python3-drgn"

say() {
    echo "-- $*"
}

# Where debootstrap is not installed, its package unpacked does as well.
have_debootstrap() {
    local folder=$cache/debootstrap
    command -v debootstrap >/dev/null && return
    command -v wget >/dev/null || {
        echo "${0##*/}: debootstrap cannot work without wget, which is not installed" >&2
        return 1
    }
    if [ ! -e "$folder" ]; then
        rm -rf "$folder.new"
        mkdir -p "$folder.new" && (cd "$folder.new" && apt-get download -q debootstrap >log 2>&1 &&
            dpkg -x ./*.deb .) && mv "$folder.new" "$folder" || {
            echo "${0##*/}: debootstrap cannot be had: $(tail -n 1 "$folder.new/log")" >&2
            return 1
        }
    fi
    export DEBOOTSTRAP_DIR=$folder/usr/share/debootstrap
    PATH=$PATH:$folder/usr/sbin
}

# Makes a root, if it is not there with just these packages.
have_root() { # NAME PACKAGES
    local name=$1 packages=$2 wanted new=$cache/$1.new start=$SECONDS
    wanted=$(echo "$debian" "$packages" | tr -s ' \n' ' ')
    if [ "$(cat "$cache/$name.made" 2>/dev/null)" = "$wanted" ]; then
        use_host_network "$cache/$name"
        return
    fi
    have_debootstrap || return
    say "making $name, a Debian of $debian"
    rm -rf --one-file-system "$new" "$cache/$name.made" "${cache:?}/$name"
    make_debian "$debian" "$new" || return
    printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
    chmod +x "$new/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2086 # a list
    if ! root=$new in_root apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 \
        $packages >"$cache/$name.log" 2>&1 </dev/null; then
        echo "${0##*/}: $name: $(grep -m 1 '^E: ' "$cache/$name.log"), see $cache/$name.log" >&2
        return 1
    fi
    rm -f "$new"/var/cache/apt/archives/*.deb "$cache/$name.log"
    mv "$new" "$cache/$name" && echo "$wanted" >"$cache/$name.made" || return
    say "$name made in $((SECONDS - start)) s, $(du -sm "$cache/$name" | cut -f 1) MB"
}

# A command where the tools are; the cache is /mnt there.
with_tools() { # COMMAND...
    root=$cache/tools root_bind=$cache in_root "$@"
}

# The same in the caller's process group: with the terminal, or in a job.
enter_tools() { # COMMAND...
    root=$cache/tools root_bind=$cache enter_root "$@"
}

# One at a time prepares; what boots then is a run's own.
lock_cache() {
    mkdir -p "$cache" && exec 7>"$cache/lock" || return
    flock -n 7 || {
        say "waiting for another run to be prepared"
        flock 7
    }
}

unlock_cache() {
    exec 7>&-
}

# Leaves its name in $run; takes away those that were killed.
make_run() {
    local old
    for old in "$cache"/run.*; do
        [ "${old##*.}" != $$ ] && kill -0 "${old##*.}" 2>/dev/null || rm -rf --one-file-system "$old"
    done
    run=run.$$
    mkdir "$cache/$run"
}

remove_run() {
    [ -z "${run-}" ] || rm -rf --one-file-system "${cache:?}/$run"
}

have_roots() {
    have_mirror || return
    have_root tools "$tools_packages" && have_root guest "$guest_packages"
}

# The tree, built in tools/ and installed to dest/. Copied anew, but with the times of its files, so
# that only what is new is built.
have_build() {
    local start=$SECONDS
    rm -rf --one-file-system "$cache/src.new" "$cache/dest"
    copy_tree "$cache/src.new" no || return
    mkdir -p "$cache/src" || return
    with_tools /mnt/src.new/tests/vm/build /mnt/src.new /mnt/src /mnt/build /mnt/dest || return
    rm -rf --one-file-system "$cache/src.new"
    say "built in $((SECONDS - start)) s"
}
