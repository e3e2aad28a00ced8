#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
guest.py - what the migration agents of examples/ say of a QEMU guest's swapped memory, page by page,
beside what is true of it (guest_truth.py). Started by tests/system/guest.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys

import guest_truth as truth
from guest_check import ABOVE, ATTEMPTS, Service, Subject, check, find_agents, need, tally
from guest_qemu import PAGE, Failure, Group, Guest, Mapper

FIRMWARE = 256  # pages at the end of low RAM that the firmware uses while it starts
MAPPERS_MARK = 5

# Machines with a hole below 4 GiB, or none; MiB, and pages below the hole as QEMU's sources have it.
MACHINES = [
    ("pc", 6144, 3 << 18),
    ("pc", 3328, 3328 << 8),
    ("q35", 6144, 2 << 18),
    ("q35", 2560, 2560 << 8),
    ("q35,max-ram-below-4g=1G", 2048, 1 << 18),
    ("q35", 40960, 2 << 18),  # the bitmap is longer than a message of the service
]


def options():
    parser = argparse.ArgumentParser()
    for name in ("folder", "qemu", "guest", "service", "oracle", "agent", "python", "python-agent", "part"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


# ---- a guest's life --------------------------------------------------------------------------


def writes(guest):
    """What the guest writes: dense, every second page, every fifth; the rest are holes, but for the ends."""
    for first, end in guest.usable():
        size = end - first
        yield first, size * 3 // 8, 1
        yield first + size * 3 // 8, size // 8, 2
        yield first + size * 5 // 8, size // 40, 5
        yield end - 40, 40, 1


def fill(guest):
    for first, count, step in writes(guest):
        guest.do("w", first, count, step, 0)


def verify(guest, after_reset=False):
    """Every byte that was written is as it was."""
    low_end = guest.usable()[0][1]
    for first, count, step in writes(guest):
        if after_reset and low_end - FIRMWARE <= first < low_end:
            guest.do("w", first, count, step, 0)
        guest.do("v", first, count, step, 0)


def some_extents(pages, share, seed):
    """Runs of pages, of all lengths up to 100, that make up about this share."""
    choice, at, found = random.Random(seed), 0, []
    while at < pages:
        count = min(choice.randint(1, 100), pages - at)
        if choice.random() < share:
            found.append((at, count))
        at += count
    return found


def watch(subject, agent):
    """Between two looks of one agent the guest reads swapped pages: they came in, it says."""
    guest = subject.guest
    first = guest.usable()[0][0]
    for attempt in range(ATTEMPTS):
        # the guest sleeps; and ram-oracle makes more mappings, while it runs, than GetObject can tell of
        before = subject.look()
        process = subprocess.Popen([*agent.command, f"--pid={guest.pid}", "--rounds=2", "--interval=5"],
                                   stdout=subprocess.PIPE)
        said = b""
        while not said.endswith(b"QEMU\n") or b"swapped in meanwhile" not in said:
            part = os.read(process.stdout.fileno(), 1)
            need(part, "the agent ended before its second look")
            said += part
        process.send_signal(signal.SIGSTOP)
        guest.do("r", first + attempt * 2048, 2048, 1)
        after = subject.look()
        process.send_signal(signal.SIGCONT)
        text = (said + process.communicate()[0]).decode()
        wanted = [sum(a != truth.SWAPPED and b == truth.SWAPPED for a, b in zip(before, after)) * PAGE,
                  sum(a == truth.SWAPPED and b != truth.SWAPPED for a, b in zip(before, after)) * PAGE]
        if before != after and wanted[1]:
            break
    looks = truth.sections(text)
    got = looks[1].numbers["since the last look"]
    if got != wanted:
        tally.fail(f"between two looks of the agent in {agent.name} {wanted[0]} bytes went out and "
                   f"{wanted[1]} came in, but it says {got}")
    print(f"-- guest reads while the agent in {agent.name} watches: {wanted[1]} bytes came in, as said"
          if got == wanted else text)


def with_second_mapper(subject, agents):
    """As vhost-user has it. Returns the mapper, which keeps the memory."""
    guest, mapper = subject.guest, Mapper(subject.guest)
    states = subject.look()
    swapped = [page for page in truth.pages_in(states, truth.SWAPPED) if page in subject.seen]
    need(len(swapped) > 600, "too little is swapped for a second mapper")
    for page in swapped[:500:5]:
        mapper.do("r", page, 1, 1)
    written = [subject.seen[page] for page in swapped[500:600:3]]
    for page in swapped[500:600:3]:
        mapper.do("w", page, subject.seen[page] * PAGE | MAPPERS_MARK)
    states = subject.look()
    need(all(states[page] != truth.SWAPPED for page in swapped[:500:5] + swapped[500:600:3]),
         "what the second mapper touched is swapped still")
    check("a second mapper has read and written swapped pages", subject, agents)
    guest.page_out([(0, guest.pages)])
    need(check("all that QEMU alone has mapped is paged out", subject, agents)[0] > len(swapped) // 2,
         "hardly anything could be paged out with a second mapper")
    for page in written:
        guest.do("v", page, 1, 1, MAPPERS_MARK)
        guest.do("w", page, 1, 1, 0)
    print(f"-- the guest reads what the second mapper wrote to {len(written)} swapped pages")
    return mapper


def whole_life(opts, agents):
    print("== a guest whose RAM goes on above 4 GiB from 128 MiB on")
    below = 128 << 8
    guest = Guest(opts, "pc,max-ram-below-4g=128M", 256)
    try:
        subject = Subject(opts, guest, below)
        fill(guest)
        subject.learn()
        need(any(address >= ABOVE for address in subject.seen.values()), "the guest has no RAM above 4 GiB")
        print(f"-- {len(subject.seen)} pages tell where the guest sees them")
        check("nothing is swapped", subject, agents)
        guest.page_out(some_extents(guest.pages, 0.6, 1))
        need(check("partly paged out", subject, agents, verbose=True)[0] > 1000, "hardly anything was paged out")
        for agent in agents:
            watch(subject, agent)
        check("guest has read some", subject, agents)
        guest.page_out(some_extents(guest.pages, 0.3, 2))
        mapper = with_second_mapper(subject, agents)
        guest.page_out(some_extents(guest.pages, 0.7, 3))
        guest.reset()
        need(check("after a reset of the guest", subject, agents)[0] > 1000, "hardly anything is swapped")
        verify(guest, after_reset=True)
        print("-- the guest has verified every byte that it wrote before the reset")
        check("guest has read all", subject, agents)
    finally:
        guest.end()
    return mapper, guest.pid


def other_process(opts, agents, old_pid):
    """The same guest in a new QEMU: other memory, while a second mapper holds the old."""
    guest = Guest(opts, "pc,max-ram-below-4g=128M", 256)
    try:
        subject = Subject(opts, guest, 128 << 8)
        fill(guest)
        subject.learn()
        guest.page_out(some_extents(guest.pages, 0.5, 4))
        need(check("a new QEMU", subject, agents)[0] > 1000, "hardly anything was paged out")
        verify(guest)
        print("-- the new guest has verified every byte")
        complain(agents, f"--pid={old_pid}")
    finally:
        guest.end()


def on_disk(opts, agents):
    """What is written to a swap file stays in the swap cache until it is reclaimed."""
    print("== a guest on a swap file")
    group = Group()
    guest = Guest(opts, "q35", 256)
    try:
        if group.path:
            group.take(guest.pid)
        subject = Subject(opts, guest, guest.pages)
        fill(guest)
        subject.learn()
        guest.page_out(some_extents(guest.pages, 0.6, 5))
        subject.settle()
        need(check("written to the swap file", subject, agents)[1] > 1000, "hardly anything is in the swap cache")
        if group.path:
            group.reclaim()
            subject.settle()
            subject.faults_tell = False
            need(check("reclaimed from the swap cache", subject, agents)[0] > 1000, "hardly anything is swapped")
        guest.do("r", guest.usable()[0][0], 64, 16)
        check("guest reads some, and the kernel reads ahead", subject, agents, verbose=True)
        verify(guest)
        print("-- the guest has verified every byte")
    finally:
        guest.end()
        if group.path:
            group.remove()


# ---- other machines, and what cannot be answered ---------------------------------------------


def edges(guest):
    """Pages on both sides of each end of a piece of RAM, and a few between."""
    for first, end in guest.usable():
        yield first, 64, 1
        yield first + (end - first) // 2, 64, 3
        yield end - 64, 64, 1


def large(opts, agents, machine, mib, below):
    guest = Guest(opts, machine, mib)
    try:
        subject = Subject(opts, guest, below)
        for first, count, step in edges(guest):
            guest.do("w", first, count, step, 1)
        subject.learn()
        guest.page_out([(page, 1) for page in sorted(subject.seen) if page % 7])
        need(check(f"{machine}, {mib} MiB", subject, agents)[0] > 50, "hardly anything was paged out")
        for first, count, step in edges(guest):
            guest.do("v", first, count, step, 1)
    finally:
        guest.end()


def two_nodes(opts, agents):
    """RAM of two blocks, of the same name and size: QEMU 8 and later tell which is which."""
    guest = Guest(opts, "pc,max-ram-below-4g=128M", 512, nodes=2)
    try:
        subject = Subject(opts, guest, 128 << 8)
        fill(guest)
        subject.learn()
        guest.page_out(some_extents(guest.pages, 0.5, 6))
        complain(agents, f"--pid={guest.pid}")
        if guest.ask("query-version")["qemu"]["major"] < 8:
            complain(agents, f"--qmp={guest.qmp_path}")
            return
        need(check("two NUMA nodes", subject, agents, by_pid=False)[0] > 1000, "hardly anything was paged out")
        verify(guest)
    finally:
        guest.end()


def complain(agents, *words):
    """One line, the same from each agent, and status 1."""
    results = [agent.run(*words) for agent in agents]
    print(f"$ migration-agent {' '.join(words)}\n{results[0].stderr}", end="")
    for agent, result in zip(agents, results):
        if result.returncode != 1 or result.stderr.count("\n") != 1 or result.stderr != results[0].stderr:
            tally.fail(f"agent in {agent.name}: {words}: status {result.returncode}, {result.stderr!r}")


def complaints(opts, agents):
    print("== what the agents cannot answer")
    for words in ([], ["--pid=0"], ["--pid=12x"], ["--pid=4194305"], [f"--pid={os.getpid()}"],
                  ["--qmp=/nowhere/qmp"], [f"--qmp={opts.folder}"], ["--pid=1", "--rounds=-1"],
                  [f"--pid={os.getpid()}", "--socket=/nowhere/io.shmstate"]):
        complain(agents, *words)
    path = os.path.join(opts.folder, "other")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        for agent in agents:
            process = subprocess.Popen([*agent.command, f"--qmp={path}"], stderr=subprocess.PIPE, text=True)
            connection, _ = server.accept()
            connection.sendall(b"220 smtp.example.org\r\n")
            error = process.communicate()[1]
            connection.close()
            if process.returncode != 1 or error != f"migration-agent: {path}: this is no QMP socket\n":
                tally.fail(f"agent in {agent.name}: not QMP: status {process.returncode}, {error!r}")
    guest = Guest(opts, "pc", 64, shared=False)
    try:
        complain(agents, f"--qmp={guest.qmp_path}")
        complain(agents, f"--pid={guest.pid}")
    finally:
        guest.end()


def on_zram(opts, agents):
    mapper, old_pid = whole_life(opts, agents)
    other_process(opts, agents, old_pid)
    mapper.end()
    print("== machines with and without a hole below 4 GiB")
    for machine in MACHINES:
        large(opts, agents, *machine)
    two_nodes(opts, agents)
    complaints(opts, agents)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    opts = options()
    service = None
    try:
        service = Service(opts)
        (on_zram if opts.part == "zram" else on_disk)(opts, find_agents(opts, service))
    except Failure as failure:
        tally.fail(f"the test stops here: {failure}")
    finally:
        if service:
            service.end()
    print(f"== on {opts.part}: {tally.compared} page comparisons, {tally.wrong} wrong")
    return tally.wrong > 0


if __name__ == "__main__":
    sys.exit(main())
