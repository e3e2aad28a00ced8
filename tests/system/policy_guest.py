# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process with a memfd that stands for a guest. Obeys commands, one a line, and answers each by one."""

import ctypes
import mmap
import os
import resource
import sys
import threading
import time

PAGE = mmap.PAGESIZE
MADV_PAGEOUT = 21


class Guest:
    def __init__(self, name, pages):
        self.pages = pages
        self.fd = os.memfd_create(name)
        os.ftruncate(self.fd, pages * PAGE)
        self.memory = mmap.mmap(self.fd, pages * PAGE)
        for page in range(pages):
            # no two pages alike, nor of one byte only
            self.memory[page * PAGE : page * PAGE + 16] = page.to_bytes(8, "little") * 2
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.hot = []
        self.running = False
        self.passes = 0

    def work(self):
        memory = self.memory
        while self.running:
            for page in self.hot:
                memory[page * PAGE]
            self.passes += 1
            time.sleep(0.05)

    def run(self, period, each):
        """From now on chunks of `each` pages, every period-th of them, are in use."""
        self.hot = [page for page in range(self.pages) if page // each % period == 0]
        self.running = True
        threading.Thread(target=self.work, daemon=True).start()
        return len(self.hot)

    def halt(self):
        self.running = False
        time.sleep(0.2)

    def touch(self, first, count):
        for page in range(first, first + count):
            self.memory[page * PAGE]

    def write(self, first, count):
        for page in range(first, first + count):
            self.memory[page * PAGE + 100] = 1

    def page_out(self, first, count):
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.madvise(ctypes.c_void_p(self.address + first * PAGE), ctypes.c_size_t(count * PAGE), MADV_PAGEOUT)

    def take_back(self, first, count):
        """Touches pages; which of them were in the swap, by mincore."""
        out = (ctypes.c_ubyte * count)()
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mincore(ctypes.c_void_p(self.address + first * PAGE), ctypes.c_size_t(count * PAGE), out)
        self.touch(first, count)
        return ",".join(str(first + i) for i in range(count) if not out[i] & 1) or "none"

    def verify(self):
        return sum(
            self.memory[page * PAGE : page * PAGE + 16] != page.to_bytes(8, "little") * 2
            for page in range(self.pages)
        )


def main():
    guest = Guest(sys.argv[1], int(sys.argv[2]))
    commands = {
        "run": guest.run,
        "halt": guest.halt,
        "touch": guest.touch,
        "write": guest.write,
        "pageout": guest.page_out,
        "takeback": guest.take_back,
        "verify": guest.verify,
        "faults": lambda: resource.getrusage(resource.RUSAGE_SELF).ru_majflt,
        "passes": lambda: guest.passes,
    }
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(commands[name](*map(int, arguments)), flush=True)


main()
