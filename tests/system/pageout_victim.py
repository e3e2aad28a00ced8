# SPDX-License-Identifier: LGPL-2.1-or-later
"""
pageout_victim.py KIND PAGES [ARGUMENT] - a process that has shared memory and does with it what it is
told, a line a command: NAME FIRST COUNT. It answers "ok", or "error" and what. Used by pageout.py.

KIND: memfd, huge (a memfd, mapped where huge pages may be), tmpfs (ARGUMENT: the path), sysv, private
(a memfd, mapped MAP_PRIVATE), or adopt (ARGUMENT: /proc/PID/fd/FD of another one, mapped too).
"""

import contextlib
import ctypes
import errno
import mmap
import os
import sys
import threading
import time

PAGE = mmap.PAGESIZE
MAP_FIXED = 0x10
MADV_COLLAPSE = 25
HUGE_SIZE = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
SHM_LOCK = 11
IPC_RMID = 0
TRIES = 20
FALLOC_KEEP_SIZE = 1
FALLOC_PUNCH_HOLE = 2

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.munlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
libc.shmat.restype = ctypes.c_void_p
FAILED = ctypes.c_void_p(-1).value


def must(value, bad=-1):
    if value == bad:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return value


def content(page):
    """No two pages have the same, and none is all zeros."""
    return (page * 0x9E3779B97F4A7C15 + 1).to_bytes(16, "little") * (PAGE // 16)


class Victim:
    def __init__(self, kind, pages, argument):
        self.pages = pages
        self.size = pages * PAGE
        self.fd = -1
        self.known = set()
        self.hammering = []
        if kind == "sysv":
            shmid = must(libc.shmget(0, ctypes.c_size_t(self.size), 0o1600))
            self.shmid = shmid
            self.address = must(libc.shmat(shmid, None, 0), FAILED)
            must(libc.shmctl(shmid, IPC_RMID, None))
            return
        if kind == "tmpfs":
            self.fd = os.open(argument, os.O_RDWR | os.O_CREAT, 0o600)
        elif kind == "adopt":
            self.fd = os.open(argument, os.O_RDWR)
        else:
            self.fd = os.memfd_create(f"pageout-{kind}")
        if kind != "adopt":
            os.ftruncate(self.fd, self.size)
        flags = mmap.MAP_PRIVATE if kind == "private" else mmap.MAP_SHARED
        self.address = self.map(self.fd, 0, pages, flags)
        if kind == "huge":
            self.align()

    @staticmethod
    def map(fd, first, count, flags, at=None):
        return must(libc.mmap(at, count * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, first * PAGE), FAILED)

    def align(self):
        """Moves the mapping to where it has huge pages."""
        with open(HUGE_SIZE, encoding="ascii") as file:
            size = int(file.read())
        must(libc.munmap(self.address, self.size))
        self.address = self.map(-1, 0, self.pages + size // PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.address += -self.address % size
        self.map(self.fd, 0, self.pages, mmap.MAP_SHARED | MAP_FIXED, self.address)

    def at(self, page):
        return self.address + page * PAGE

    def do_write(self, first, count):
        for page in range(first, first + count):
            ctypes.memmove(self.at(page), content(page), PAGE)
            self.known.add(page)

    def do_read(self, first, count):
        for page in range(first, first + count):
            ctypes.string_at(self.at(page), 1)

    def do_put(self, first, count):
        """Written, but never in our page table."""
        for page in range(first, first + count):
            os.pwrite(self.fd, content(page), page * PAGE)
            self.known.add(page)

    def do_punch(self, first, count):
        must(libc.fallocate(self.fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, first * PAGE, count * PAGE))
        self.known -= set(range(first, first + count))

    def do_allocate(self, first, count):
        must(libc.fallocate(self.fd, 0, first * PAGE, count * PAGE))

    def do_truncate(self, first, count):
        os.ftruncate(self.fd, first * PAGE)
        self.known = {page for page in self.known if page < first}

    def do_collapse(self, first, count):
        """Into huge pages, each mapped as a whole; that a page is in use for a moment is no error."""
        for _ in range(TRIES):
            if libc.madvise(self.at(first), count * PAGE, MADV_COLLAPSE) == 0:
                break
            error = ctypes.get_errno()
            if error != errno.EAGAIN:
                raise OSError(error, os.strerror(error))
            time.sleep(0.1)
        self.do_read(first, count)

    def do_lock(self, first, count):
        must(libc.mlock(self.at(first), count * PAGE))

    def do_unlock(self, first, count):
        must(libc.munlock(self.at(first), count * PAGE))

    def do_shmlock(self, first, count):
        must(libc.shmctl(self.shmid, SHM_LOCK, None))

    def do_unmap(self, first, count):
        must(libc.munmap(self.at(first), count * PAGE))

    def do_again(self, first, count):
        """A second mapping, in use too."""
        address = self.map(self.fd, first, count, mmap.MAP_SHARED)
        for i in range(count):
            ctypes.string_at(address + i * PAGE, 1)

    def do_replace(self, first, count):
        """Another object takes the place of the first one; all of it is in use."""
        other = os.memfd_create("pageout-other")
        os.ftruncate(other, count * PAGE)
        self.map(other, 0, count, mmap.MAP_SHARED | MAP_FIXED, self.at(first))
        for page in range(first, first + count):
            ctypes.memmove(self.at(page), content(page), PAGE)
        self.known -= set(range(first, first + count))
        return other

    def do_hammer(self, first, count):
        """Uses them all the time from now on."""
        stop = threading.Event()

        def run():
            while not stop.is_set():
                self.do_read(first, count)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.hammering.append((stop, thread))

    def do_rest(self, first, count):
        for stop, thread in self.hammering:
            stop.set()
            thread.join()

    def do_check(self, first, count):
        """Every page that was written has its content still."""
        for page in range(first, first + count):
            if page in self.known and ctypes.string_at(self.at(page), PAGE) != content(page):
                raise ValueError(f"page {page} has another content")


def main():
    kind, pages = sys.argv[1], int(sys.argv[2])
    victim = Victim(kind, pages, sys.argv[3] if len(sys.argv) > 3 else None)
    print(f"{os.getpid()} {victim.fd} {victim.address:x}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            name, first, count = line.split()
            try:
                got = getattr(victim, f"do_{name}")(int(first), int(count))
                print("ok" if got is None else f"ok {got}", flush=True)
            except Exception as error:  # told to whoever asked
                print(f"error {name}: {error}", flush=True)


if __name__ == "__main__":
    main()
