# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that uses pages of a memfd as it is told. Obeys commands, one a line, and answers each by one.

idle_guest.py NAME PAGES [FILE]: of a memfd of its own, or the one that FILE leads to.
"""

import ctypes
import mmap
import os
import signal
import sys

PAGE = mmap.PAGESIZE
HUGE = 2 << 20
PROT_NONE, PROT_RW = 0, 3
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 1, 2, 0x10, 0x20
MADV_PAGEOUT, MADV_COLLAPSE = 21, 25
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Guest:
    def __init__(self, name, pages, path=None):
        self.size = pages * PAGE
        self.fd = os.open(path, os.O_RDWR) if path else os.memfd_create(name)
        if not path:
            os.ftruncate(self.fd, self.size)
        # where a huge page can be
        room = libc.mmap(None, self.size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        self.address = (room + HUGE - 1) // HUGE * HUGE

    def map(self, pages):
        """The first so many are mapped, and none is touched."""
        libc.mmap(self.address, pages * PAGE, PROT_RW, MAP_SHARED | MAP_FIXED, self.fd, 0)
        self.mapped = pages * PAGE
        self.memory = (ctypes.c_ubyte * self.mapped).from_address(self.address)
        return self.address

    def read(self, *pages):
        return sum(self.memory[page * PAGE] for page in pages)

    def write(self, *pages):
        for page in pages:
            self.memory[page * PAGE + 8] = 7

    def file_read(self, *pages):
        for page in pages:
            os.pread(self.fd, PAGE, page * PAGE)

    def file_write(self, *pages):
        for page in pages:
            os.pwrite(self.fd, b"w" * 100, page * PAGE + 50)

    def spin(self, count):
        """A child reads the first pages and does nothing else, on a processor that it does not leave."""
        child = os.fork()
        if child:
            return child
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        while True:
            for page in range(count):
                self.memory[page * PAGE]

    def forget(self):
        """What the processor remembers of the page table: what it has there the kernel does not see used.

        It is dropped when a process forks; what is shared is not touched, and not copied.
        """
        child = os.fork()
        if child == 0:
            os._exit(0)
        return os.waitpid(child, 0)[1]

    def advise(self, advice, first, count):
        return libc.madvise(self.address + first * PAGE, count * PAGE, advice)

    def page_out(self, first, count):
        return self.advise(MADV_PAGEOUT, first, count)

    def collapse(self, first, count):
        return self.advise(MADV_COLLAPSE, first, count)


def main():
    guest = Guest(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
    commands = {
        "map": guest.map,
        "read": guest.read,
        "write": guest.write,
        "fileread": guest.file_read,
        "filewrite": guest.file_write,
        "spin": guest.spin,
        "forget": guest.forget,
        "pageout": guest.page_out,
        "collapse": guest.collapse,
    }
    print(os.getpid(), guest.fd, flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(commands[name](*map(int, arguments)), flush=True)


main()
