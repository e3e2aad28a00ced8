#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
guest_dies.py MIB ROUNDS - kills the only holder of a memfd while it is looked at, by id and by pid,
and waits for its memory to be free. Started by tests/system/guest-dies.
"""

import collections
import mmap
import os
import signal
import sys
import threading
import time

import varlink_descriptors
from varlink_wire import PAGE, Closed, Service, check, error_of, report

SCANNERS = 6
WITHIN = 1.0  # seconds, the issue's own limit
MADV_PAGEOUT = 21
MIB = 1 << 20
# What of it may seem to stay: the kernel counts by processor, and without a memory cgroup of the guest's
# own others use memory meanwhile.
SLACK = {True: 0.03, False: 0.15}
GONE = ("NoSuchObject", "NoSuchProcess")


class Group:
    """A memory cgroup for the guests, so that just what is theirs is counted."""

    FILES = (("memory.current", "memory.swap.current"), ("memory.memsw.usage_in_bytes",),
             ("memory.usage_in_bytes",))

    def __init__(self):
        self.path, self.files = None, ()
        for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
            path = f"{root}/shmstate-dies.{os.getpid()}"
            try:
                os.mkdir(path)
            except OSError:
                continue
            for names in self.FILES:
                files = [os.path.join(path, name) for name in names]
                if all(map(os.path.exists, files)):
                    self.path, self.files = path, files
                    return
            os.rmdir(path)
        print("no memory cgroup: what the whole system uses is taken", flush=True)

    def enter(self):
        if self.path:
            with open(os.path.join(self.path, "cgroup.procs"), "w") as file:
                file.write(str(os.getpid()))

    def used(self):
        """Memory and swap, bytes."""
        if self.path:
            return sum(int(open(file).read()) for file in self.files)
        with open("/proc/meminfo") as file:
            field = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
        return field["Shmem"] + field["SwapTotal"] - field["SwapFree"]

    def remove(self):
        for _ in range(50):
            try:
                return os.rmdir(self.path) if self.path else None
            except OSError:
                time.sleep(0.1)
        return check(False, f"{self.path} could not be removed")


def be_guest(group, size, ready):
    """Has the memory, half of it paged out, until it is killed."""
    group.enter()
    descriptor = os.memfd_create("shmstate-guest", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, size)
    with mmap.mmap(descriptor, size) as mapping:
        chunk = b"".join(i.to_bytes(8, "little") * (PAGE // 8) for i in range(1, 257))
        for at in range(0, size, len(chunk)):
            mapping[at:at + len(chunk)] = chunk[:size - at]
        for at in range(0, size // 2, 16 * MIB):
            mapping.madvise(MADV_PAGEOUT, at, min(16 * MIB, size // 2 - at))
        status = os.fstat(descriptor)
        os.write(ready, f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:"
                        f"{status.st_ino} {descriptor}\n".encode())
        while True:
            signal.pause()


class Scanner(threading.Thread):
    """Asks without a pause, until told to stop."""

    def __init__(self, service, method, selector):
        super().__init__()
        self.service, self.method, self.selector = service, method, selector
        self.stop = False
        self.came = collections.Counter()

    def run(self):
        try:
            with self.service.wire(quiet=True) as wire:
                while not self.stop:
                    reply = wire.call(self.method, {"selector": self.selector})
                    self.came[error_of(reply)] += 1
                    for descriptor in wire.descriptors:
                        os.close(descriptor)
                    wire.descriptors.clear()
        except Closed:
            self.came["closed"] += 1


def start_guest(group, size):
    reading, writing = os.pipe()
    guest = os.fork()
    if guest == 0:
        try:
            os.close(reading)
            be_guest(group, size, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as file:
        words = file.readline().split()
    if len(words) != 2:
        os.waitpid(guest, 0)
        sys.exit("guest-dies: the memory could not be made")
    return guest, words[0], int(words[1])


def one_round(service, group, number, size):
    slack = SLACK[bool(group.path)] * size
    before = group.used()
    guest, identity, descriptor = start_guest(group, size)
    made = group.used() - before
    selectors = ({"id": identity}, {"pid": guest, "fileDescriptor": descriptor}, {"pid": guest, "name": "shmstate-guest"})
    scanners = [Scanner(service, ("Classify", "Summarize")[i // 3 % 2], selectors[i % 3])
                for i in range(SCANNERS)]
    try:
        for scanner in scanners:
            scanner.start()
        time.sleep(0.2 + 0.05 * number)
    finally:
        os.kill(guest, signal.SIGKILL)
        os.waitpid(guest, 0)
    start = time.monotonic()
    while (left := group.used() - before) > slack and time.monotonic() - start < WITHIN:
        time.sleep(0.01)
    took = time.monotonic() - start
    for scanner in scanners:
        scanner.stop = True
    for scanner in scanners:
        scanner.join()
    came = sum((s.came for s in scanners), collections.Counter())
    print(f"round {number}: {made // MIB} MiB, free after {took * 1000:.0f} ms ({left // MIB} MiB left); "
          f"answers: {dict(came)}", flush=True)
    check(made > size - slack, f"only {made // MIB} MiB were made")
    check(left <= slack, f"{left // MIB} MiB are not free after {took:.2f} s")
    check(came["no error"] > 0, "nothing was answered while it lived")
    check(not set(came) - {"no error", *GONE}, f"answers: {dict(came)}")


def main():
    size, rounds = int(sys.argv[1]) * MIB, int(sys.argv[2])
    group = Group()
    try:
        with Service() as service:
            before = service.descriptors()
            for number in range(rounds):
                one_round(service, group, number, size)
            varlink_descriptors.give_back(service, before)
    finally:
        group.remove()
    print(f"guest-dies: {report.tests} checks, {report.failures} failures")
    return report.failures > 0


if __name__ == "__main__":
    sys.exit(main())
