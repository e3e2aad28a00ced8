# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A Debian of its own in a folder: making one, and running commands in it. Sourced by the tools, in
# the tree's top folder.

# The mirror that this machine's apt has its Debian from.
find_mirror() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    # from where it would update its lists: there may be none yet
    apt-get --print-uris update 2>/dev/null | tr -d "'" | awk -v codename="$codename" '
        match($1, "/dists/(" codename "|stable)/InRelease$") { print substr($1, 1, RSTART); exit }'
}

# Leaves it in $mirror.
have_mirror() {
    local proxy
    mirror=$(find_mirror)
    if [ -z "$mirror" ]; then
        echo "${0##*/}: apt has no source of Debian here from which to make a root" >&2
        return 1
    fi
    proxy=$(apt-config dump Acquire::http::Proxy | sed -n 's/^Acquire::http::Proxy "\(.*\)";$/\1/p')
    [ -z "$proxy" ] || export http_proxy="$proxy"
}

# What of apt's settings decides whether a mirror can be reached and is believed.
apt_settings() {
    apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|Force)'
}

# A minimal Debian, from $mirror.
make_debian() { # SUITE FOLDER DEBOOTSTRAP-OPTION...
    local suite=$1 folder=$2
    shift 2
    # its mounts are not to be seen by others
    if ! unshare --mount --propagation private debootstrap --variant=minbase "$@" "$suite" "$folder" "$mirror" >"$folder.log" 2>&1; then
        echo "${0##*/}: debootstrap of $suite: $(tail -n 1 "$folder.log")" >&2
        rm -f "$folder.log"
        return 1
    fi
    rm -f "$folder.log"
    use_host_network "$folder"
}

# What may be another after a while.
use_host_network() { # FOLDER
    apt_settings >"$1/etc/apt/apt.conf.d/99host"
    [ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf >"$1/etc/resolv.conf"
    cat /etc/hosts >"$1/etc/hosts"
}

# Runs a command in $root, where $root_bind, if any, is /mnt. Mounts are made in a mount namespace of
# their own and end with it, whatever happens. The lock of the system tests is shared: there is one
# swap for all.
# shellcheck disable=SC2016 # expanded by the inner shell
enter_root() { # COMMAND...
    unshare --mount --propagation private bash -c '
        root=$1 bind=$2
        shift 2
        mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" &&
            mount --rbind /dev "$root/dev" && mount --bind /run/lock "$root/run/lock" || exit 1
        [ -z "$bind" ] || mount --bind "$bind" "$root/mnt" || exit 1
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM-dumb}" \
            chroot "$root" "$@"' bash "$root" "${root_bind-}" "$@"
}

# The same, with a process group of its own: $runner, meanwhile, so that all of it can be told to stop.
in_root() { # COMMAND...
    set -m
    TERM=dumb enter_root "$@" &
    runner=$!
    set +m
    wait "$runner"
    set -- $?
    runner=
    return "$1"
}

# The tree's files, each with a NUL behind it. What is ignored, such as objects built here, stays
# behind; where this is no clone, what is known to be such.
list_tree() {
    if git ls-files >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do
                [ ! -e "$file" ] || printf '%s\0' "$file"
            done
    else
        find . \( -path './build*' -o -path ./.git -o -path ./autom4te.cache \) -prune -o -type f -print0
    fi
}

# The tree as it is, or what is committed.
copy_tree() { # FOLDER COMMITTED(yes|no)
    mkdir -p "$1" || return
    if [ "$2" = yes ]; then
        git archive HEAD | tar -xf - -C "$1"
    else
        list_tree | tar --null -T - -cf - | tar -xf - --no-same-owner -C "$1"
    fi
}
