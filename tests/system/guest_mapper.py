# SPDX-License-Identifier: LGPL-2.1-or-later
"""
guest_mapper.py PID FD - maps the memory of another process's descriptor, as a vhost-user back end
maps a guest's, and reads or writes pages of it when told: "r PAGE COUNT STEP", or "w PAGE WORD",
which writes one as tests/guest/guest.c does, with this word in front.
"""

import ctypes
import mmap
import os
import struct
import sys

PAGE = mmap.PAGESIZE
PIDFD_GETFD = 438
OURS = 0x455441545348534D
MIX = 0x9E3779B97F4A7C15
LOW_64 = (1 << 64) - 1


def page_of(first):
    """A page as the guest writes it."""
    words = [first, OURS] + [(first + i) * MIX & LOW_64 for i in range(2, PAGE // 8)]
    return struct.pack(f"<{PAGE // 8}Q", *words)


def borrow(pid, fd):
    libc = ctypes.CDLL(None, use_errno=True)
    ours = libc.syscall(PIDFD_GETFD, os.pidfd_open(pid), fd, 0)
    if ours < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return ours


def main():
    fd = borrow(int(sys.argv[1]), int(sys.argv[2]))
    memory = mmap.mmap(fd, os.fstat(fd).st_size)
    os.close(fd)  # back ends keep the mapping only
    print("ready", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if what == "r":
            first, count, step = numbers
            for page in range(first, first + count * step, step):
                _ = memory[page * PAGE]
        else:
            page, word = numbers
            memory[page * PAGE : (page + 1) * PAGE] = page_of(word)
        print("ok", flush=True)


if __name__ == "__main__":
    main()
