# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is true of a guest's memory, by ways that are not shmstate's; and the agents' answers, read."""

import os
import re
import struct
import subprocess

PAGE = 4096
OURS = 0x455441545348534D  # tests/guest/guest.c
NONE, IN_CORE, SWAP_CACHE, SWAPPED = range(4)
STATES = {"none": NONE, "in_core": IN_CORE, "swap_cache": SWAP_CACHE, "swapped": SWAPPED}


def look(oracle, paths):
    """The state of each page, by ram-oracle: smaps and mincore of mappings of its own."""
    pages = bytearray()
    for path in paths:
        text = subprocess.run([oracle, path], check=True, capture_output=True, text=True).stdout
        for line in text.splitlines()[1:]:
            _, count, state = line.split(",")
            pages += bytes([STATES[state]]) * int(count)
    return bytes(pages)


def pages_in(states, state):
    return [match.start() for match in re.finditer(re.escape(bytes([state])), states)]


def blocks_used(paths):
    """Pages that the objects have, in RAM or on swap."""
    return sum(os.stat(path).st_blocks for path in paths) // (PAGE // 512)


def addresses(paths):
    """
    Where the guest sees the pages of its blocks that it has written: each page says so itself. To be
    called while they are in RAM, for it reads them (holes stay holes).
    """
    found, start = {}, 0
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        for offset in data_pages(fd):
            first, ours = struct.unpack("<QQ", os.pread(fd, 16, offset))
            if ours == OURS:
                found[start + offset // PAGE] = first // PAGE
        start += os.fstat(fd).st_size // PAGE
        os.close(fd)
    return found


def data_pages(fd):
    end, size = 0, os.fstat(fd).st_size
    while end < size:
        try:
            at = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # no data behind
            return
        end = os.lseek(fd, at, os.SEEK_HOLE)
        yield from range(at, end, PAGE)


class Section:
    """What an agent says of one look."""

    def __init__(self, title):
        self.title = title
        self.stable = title.endswith(", stable")
        self.swapped = set()  # pages, as the guest sees them
        self.hidden = set()   # pages of the block
        self.numbers = {}

    def take(self, line):
        match = re.match(r"  swapped  0x(\w+)-0x(\w+)$", line)
        hidden = re.match(r"  swapped, not seen by the guest  \S+ 0x(\w+)-0x(\w+)$", line)
        if match or hidden:
            first, last = [int(number, 16) for number in (match or hidden).groups()]
            (self.swapped if match else self.hidden).update(range(first // PAGE, (last + 1) // PAGE))
        else:
            self.numbers[line[2:24].strip()] = [int(number) for number in re.findall(r"\d+", line[24:])]


def sections(text):
    found = []
    for line in text.splitlines():
        if line.startswith(("look ", "guest stopped")):
            found.append(Section(line))
        elif found:
            found[-1].take(line)
    return found


def without_system(text):
    """What does not depend on what else the machine swaps in."""
    return re.sub(r"\d+ pages in the whole system", "N pages in the whole system", text)


def short(text, most=6):
    """For a transcript: of many ranges the first ones."""
    lines, seen = [], 0
    for line in text.splitlines():
        seen = seen + 1 if line.startswith("  swapped  ") else 0
        if seen == most + 1:
            lines.append("  ...")
        if seen <= most:
            lines.append(line)
    return "\n".join(lines)
