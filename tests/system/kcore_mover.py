# SPDX-License-Identifier: LGPL-2.1-or-later
"""
kcore_mover.py out|in PAGES - shared memory that moves while it is looked at.

Speaks as shmfactory does, and on "go" begins to page its pages out, or in, one by one. Each page moves
one way only: one that is the same before and after has not moved.
"""

import mmap
import os
import random
import select
import sys

PAGE = mmap.PAGESIZE
PAGEOUT = 21  # MADV_PAGEOUT; mmap knows it by name from Python 3.15 on
PAUSE = 0.003


def make(pages):
    """A memfd in which every fourth page is a hole and every second one paged out."""
    fd = os.memfd_create("kcore-mover")
    os.ftruncate(fd, pages * PAGE)
    memory = mmap.mmap(fd, pages * PAGE)
    for page in range(pages):
        if page % 4:
            memory[page * PAGE : page * PAGE + 8] = (page + 1).to_bytes(8, "little")
    for page in range(1, pages, 2):
        memory.madvise(PAGEOUT, page * PAGE, PAGE)
    return fd, memory


def describe(fd, pages):
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    print(f"ready pid={os.getpid()} fd={fd} pages={pages} id={device}:{status.st_ino}", flush=True)


def main():
    direction, pages = sys.argv[1], int(sys.argv[2])
    # what lies in the batches of another processor is not paged out
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    fd, memory = make(pages)
    order = list(range(2, pages, 4) if direction == "out" else range(1, pages, 4))
    random.Random(0).shuffle(order)
    describe(fd, pages)
    moving = False
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], PAUSE if moving and order else None)
        if readable:
            moving = sys.stdin.readline() == "go\n"
            if not moving:
                break
        elif direction == "out":
            memory.madvise(PAGEOUT, order.pop() * PAGE, PAGE)
        else:
            _ = memory[order.pop() * PAGE]


if __name__ == "__main__":
    main()
