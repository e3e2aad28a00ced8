# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A virtual machine, without KVM, or a container: what is in $run boots. Sourced after cache.sh.

# Seconds after which a machine is taken to hang: a suite takes some ten minutes.
vm_limit=${SHMSTATE_VM_LIMIT:-1800}

# QEMU's command line, from inside of the tools' root. The root disk is not changed: what the guest
# writes goes to a temporary file. The kernel's log goes to a file, the second serial line is ours.
qemu_command() { # VERSION UNIT
    printf '%s\n' env "TMPDIR=/mnt/$run" \
        qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 2G -cpu qemu64,+rdrand \
        -nodefaults -no-user-config -display none -no-reboot \
        -serial "file:/mnt/$run/console.$1" \
        -kernel "/mnt/$run/vmlinuz.$1" \
        -append "console=ttyS0 panic=-1 root=/dev/nvme0n1 rootwait rw quiet systemd.show_status=no systemd.wants=$2" \
        -drive "if=none,id=root,file=/mnt/$run/root,format=raw,snapshot=on,cache=unsafe" \
        -device nvme,drive=root,serial=root \
        -drive "if=none,id=swap,file=/mnt/$run/swap,format=raw,snapshot=on,cache=unsafe" \
        -device virtio-blk-pci,drive=swap,serial=shmstate-swap
}

# Lasts as long as what writes to it, which may have something to take away when told to stop.
keep_log() { # LOG
    trap '' HUP INT TERM
    sed -u 's/\r$//' | tee "$1"
}

# Did it come to its end, and can all be read that it said? Its exit status, then, is in $ended.
suite_ended() { # LOG
    local word1 word2 tests
    read -r word1 word2 ended tests < <(grep '^SUITE exit [01] [0-9]*$' "$1") || return
    [ "$(grep -c '^RESULT' "$1")" = "$tests" ] && return
    echo "said the results of $tests tests, of which some cannot be read"
    ended=1
}

# Seconds after which a machine that has not said a word is taken to be stuck: it takes some ten.
silence_limit=${SHMSTATE_VM_SILENCE:-180}

# Ends a machine that says nothing. QEMU without KVM, on a machine with much else to do, now and then
# does not get through the very first instructions of a kernel: nothing of ours has run by then.
end_if_silent() { # VERSION LOG
    sleep "$silence_limit"
    [ ! -s "$cache/$run/console.$1" ] && [ ! -s "$2" ] || return
    # whoever is told to stop ends a silent machine too, and that one is not booted again
    touch "$cache/$run/silent.$1"
    pkill -f "file:/mnt/$run/console.$1 "
}

# Its exit status is QEMU's.
boot_once() { # VERSION LOG
    local command watcher status
    mapfile -t command < <(qemu_command "$1" shmstate-suite.service)
    : >"$cache/$run/console.$1"
    : >"$2"
    rm -f "$cache/$run/silent.$1"
    end_if_silent "$@" >/dev/null 2>&1 &
    watcher=$!
    TERM=dumb enter_tools timeout --foreground -k 5 "$vm_limit" "${command[@]}" -monitor none -serial stdio </dev/null 2>&1 |
        keep_log "$2"
    status=${PIPESTATUS[0]}
    { pkill -P $watcher; kill $watcher; wait $watcher; } 2>/dev/null
    return "$status"
}

# Runs the suite: its output comes live. Returns 0 if all passed, else 1; a machine that ended
# otherwise, or did not, shows its console.
boot_suite() { # VERSION LOG
    local status try
    for try in 1 2 3; do
        boot_once "$1" "$2"
        status=$?
        [ -e "$cache/$run/silent.$1" ] && [ "$try" != 3 ] || break
        echo "said nothing at all (QEMU: exit status $status): booting it again"
    done
    suite_ended "$2" && return "$ended"
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        echo "did not end within $vm_limit s; its console:"
    else
        echo "ended before the suite did (QEMU: exit status $status); its console:"
    fi
    sed 's/\r$//; s/^/    /' "$cache/$run/console.$1" | tail -n 40
    return 1
}

boot_shell() { # VERSION
    local command
    mapfile -t command < <(qemu_command "$1" shmstate-shell.service)
    enter_tools "${command[@]}" -serial mon:stdio
}

# While no test of this machine has one.
names_of_swaps() {
    flock /run/lock/shmstate-scenarios.lock cut -d ' ' -f 1 /proc/swaps | sort
}

# The same on this machine's kernel: a container with a systemd of its own. It sees the swaps of
# this machine, so it takes part in the lock of the system tests; told to stop it has a minute to
# take away its own. (A session of its own, for a second signal ends it at once.)
boot_container() { # LOG
    local status swaps
    swaps=$(names_of_swaps)
    TERM=dumb enter_tools timeout --foreground -k 60 "$vm_limit" env SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes \
        setsid systemd-nspawn -q -b --register=no --keep-unit --machine=shmstate --capability=all \
        --system-call-filter='bpf perf_event_open swapon swapoff kcmp' --bind=/run/lock \
        -D "/mnt/$run/stage" </dev/null 2>&1 | keep_log "$1"
    status=${PIPESTATUS[0]}
    swaps=$(comm -13 <(echo "$swaps") <(names_of_swaps))
    if [ -n "$swaps" ]; then
        echo "left a swap behind: $swaps"
        return 1
    fi
    suite_ended "$1" && return "$ended"
    echo "ended before the suite did (systemd-nspawn: exit status $status)"
    return 1
}
