#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""service_objects.py UID FOLDER - makes objects of that user, pages some out, and says what they are.

A line "ready KEY=VALUE ..." when all is there; ends, and takes away what would stay, when its input
does. Each needs something else of whoever looks: a descriptor of another's process, a mapping that
no descriptor goes with, a file that only its owner may read, a segment that nobody has attached.
"""

import ctypes
import mmap
import os
import sys

PAGES = 64
SIZE = PAGES * mmap.PAGESIZE
MADV_PAGEOUT = 21
PR_SET_DUMPABLE = 4
IPC_CREAT, IPC_RMID = 0o1000, 0

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p


def filled(fd):
    """A mapping of it, with something in each page."""
    memory = mmap.mmap(fd, SIZE)
    for page in range(PAGES):
        memory[page * mmap.PAGESIZE] = page + 1
    return memory


def make_memfd(name):
    fd = os.memfd_create(name)
    os.ftruncate(fd, SIZE)
    return fd, filled(fd)


def make_file(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.ftruncate(fd, SIZE)
    memory = filled(fd)
    os.close(fd)
    return memory


def make_segment():
    shmid = libc.shmget(0, SIZE, IPC_CREAT | 0o600)
    address = libc.shmat(shmid, None, 0)
    ctypes.memset(address, 1, SIZE)
    libc.shmdt(ctypes.c_void_p(address))
    return shmid


def main():
    uid, folder = int(sys.argv[1]), sys.argv[2]
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    # who changes to another user is not to be looked at by that user
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    path = f"{folder}/service-{os.getpid()}"
    held, held_memory = make_memfd(f"service-held-{os.getpid()}")
    fd, mapped_memory = make_memfd(f"service-mapped-{os.getpid()}")
    os.close(fd)
    file_memory = make_file(path)
    shmid = make_segment()
    try:
        for memory in held_memory, mapped_memory, file_memory:
            memory.madvise(MADV_PAGEOUT, 0, SIZE // 2)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped_memory))
        print(f"ready pid={os.getpid()} held={held} mapped={address} path={path} shmid={shmid}", flush=True)
        sys.stdin.read()
    finally:
        libc.shmctl(shmid, IPC_RMID, None)
        os.unlink(path)


main()
