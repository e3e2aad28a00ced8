#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
migration-agent.py --qmp=PATH | --pid=PID [OPTION...]

What an agent that migrates a QEMU guest wants to know of the guest's RAM: which of its pages are on
swap, so that a transfer can leave them there, and would drag them in if it read them all. Asks
shmstated, which touches no page. The guest's RAM must be shared memory:

    qemu-system-x86_64 -m 4G -object memory-backend-memfd,id=mem,size=4G,share=on \\
        -machine q35,memory-backend=mem -qmp unix:/run/guest.qmp,server=on,wait=off ...

Needs python3-varlink. migration-agent.c is the same in C, and prints the same.
"""

import argparse
import base64
import json
import os
import re
import signal
import socket
import struct
import sys
import time

try:
    import varlink
except ImportError:
    sys.exit("migration-agent: python3-varlink is not installed")

GIB = 1 << 30
INT32_MAX = (1 << 31) - 1
ABOVE = 4 * GIB  # where RAM goes on above the hole
ERROR = "io.shmstate."


class Complaint(Exception):
    """What the user is told, in one line."""


# ---- QEMU ------------------------------------------------------------------------------------


class Qmp:
    """A connection to QEMU's monitor, as JSON lines."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        try:
            self.socket.connect(path)
            self.lines = self.socket.makefile("rb")
            if "QMP" not in json.loads(self.lines.readline() or b"null"):
                raise ValueError
            self.call("qmp_capabilities")
        except TimeoutError:
            raise Complaint(f"{path}: no greeting from QEMU; somebody else may be connected") from None
        except (ValueError, TypeError):
            raise Complaint(f"{path}: this is no QMP socket") from None

    def peer(self):
        """The process that listens: QEMU."""
        credentials = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.unpack("iii", credentials)[0]

    def call(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            line = self.lines.readline()
            if not line:
                raise Complaint(f"{self.path}: QEMU closed the connection")
            reply = json.loads(line)
            if "return" in reply:
                return reply["return"]
            if "error" in reply:  # all else is an event
                raise Complaint(f"{self.path}: {command}: {reply['error']['desc']}")

    def monitor(self, line):
        return self.call("human-monitor-command", **{"command-line": line})


class Piece:
    """Bytes of a block that follow each other in the guest's memory, or are not seen there."""

    def __init__(self, address, offset, size):
        self.address = address
        self.offset = offset
        self.size = size

    def continues(self, other):
        return (self.offset == other.offset + other.size and self.address is not None
                and other.address is not None and self.address == other.address + other.size)


class Block:
    """A RAM block: an object, and where the guest sees it."""

    def __init__(self, name, selector, pieces):
        self.name = name
        self.selector = selector
        self.pieces = pieces
        self.swapped = None  # a bit a page, from the last look

    def cover(self, size):
        """Makes the pieces cover the object: what the guest does not see has no address."""
        pieces, end = [], 0
        for piece in sorted(self.pieces, key=lambda piece: piece.offset):
            if piece.offset > end:
                pieces.append(Piece(None, end, piece.offset - end))
            end = piece.offset + piece.size
            if pieces and piece.continues(pieces[-1]):
                pieces[-1].size += piece.size
            else:
                pieces.append(piece)
        if end > size:
            raise Complaint(f"block {self.name}: QEMU shows {end} bytes of it, but the object has {size}")
        if end < size:
            pieces.append(Piece(None, end, size - end))
        self.pieces = pieces


def block_name(name):
    """A backend's block has its id for a name, or, of older machines, its path."""
    return name.removeprefix("/objects/")


def blocks_by_qmp(qmp, pid):
    """QEMU itself tells where its blocks are, in the guest and in its own memory."""
    names = {device.get("id") for device in qmp.call("query-memdev")}
    flat = next((view for view in qmp.monitor("info mtree -f").replace("\r", "").split("FlatView #")
                 if re.search('^ AS "memory"', view, re.M)), "")
    pieces = {}
    for first, last, name, offset in re.findall(
            r"^ +(\w+)-(\w+) \(prio -?\d+, (?:ram|rom|romd)\): (\S+)(?: @(\w+))?", flat, re.M):
        first, last, offset = int(first, 16), int(last, 16), int(offset or "0", 16)
        name = block_name(name)
        if name in names:
            pieces.setdefault(name, []).append(Piece(first, offset, last - first + 1))
    if not pieces:
        raise Complaint(f"QEMU {pid}: no memory backend is mapped in the guest; its RAM is not shared")
    # QEMU 8 and later tell where the block is mapped; with those before there must be only one
    mapped = {block_name(line.split()[0]): int(line.split()[-2], 16)
              for line in qmp.monitor("info ramblock").splitlines()[1:] if re.search(r" r[wo]\s*$", line)}
    return [Block(name, by_address(pid, mapped.get(name)), pieces[name])
            for name in sorted(pieces, key=lambda name: pieces[name][0].address)]


def by_address(pid, address):
    if address is None:
        return {"pid": pid, "name": "memory-backend-memfd"}
    return {"pid": pid, "address": address}


def blocks_by_pid(pid, size, below):
    """Without QMP: one block, and the hole below 4 GiB by the machine's rule."""
    pieces = [Piece(0, 0, min(size, below))]
    if size > below:
        pieces.append(Piece(ABOVE, below, size - below))
    return [Block("memory-backend-memfd", by_address(pid, None), pieces)]


def bytes_below_4g(pid, size):
    """What QEMU's pc and q35 machines do, by their command line. QMP is better: it knows."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
    except OSError as error:
        raise Complaint(f"process {pid}: {error.strerror}") from None
    values = [value for option, value in zip(words, words[1:])
              if option.lstrip("-") in ("machine", "M")]
    options = ",".join(values).split(",")
    machine, most = "pc", None
    for option in options:
        if re.fullmatch(r"(type=)?[\w.-]+", option) and option:
            machine = option.removeprefix("type=")
        match = re.fullmatch(r"max-ram-below-4g=(\d+)([KMG]?)", option, re.I)
        if match:
            most = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2].upper()]
    if re.match(r"(pc-)?q35", machine):
        return min(most or ABOVE, 2 * GIB if size >= 0xb0000000 else 0xb0000000)
    if re.match(r"pc(-i440fx.*)?$", machine):
        most = most or 0xe0000000
        return min(most, 3 * GIB) if size >= most else most
    raise Complaint(f"QEMU {pid}: no rule for machine {machine}: use --qmp or --below-4g")


# ---- shmstated -------------------------------------------------------------------------------


class Service:
    def __init__(self, path):
        self.path = path
        try:
            self.connection = varlink.Client.new_with_address(f"unix:{path}").open("io.shmstate")
        except OSError as error:
            raise Complaint(f"{path}: {error.strerror or error}") from None

    def find(self, block, pid):
        """The block's object, if it is memory that the guest shares."""
        try:
            found = self.connection.GetObject(selector=block.selector)["object"]
        except varlink.VarlinkError as error:
            raise Complaint(self.explain(error, block, pid)) from None
        if not any(mapper["pid"] == pid and mapper["sharing"] == "shared" for mapper in found["mappers"] or []):
            raise Complaint(f"block {block.name}: QEMU does not share it (share=on)")
        return found

    def look(self, selector):
        """Counts, and a bit for each page that is swapped, in as many replies as it takes."""
        bits, pages = 0, 0
        try:
            for reply in self.connection.Classify(selector=selector, states=["swapped"], encoding="bitmap",
                                                  _more=True):
                part = base64.b64decode(reply["bitmap"])
                bits |= int.from_bytes(part, "little") << reply["first"]
                last = reply
            pages = last["size"] // last["pageSize"]
        except varlink.VarlinkError as error:
            raise Complaint(self.explain(error, None, None)) from None
        return last, bits & ((1 << pages) - 1)

    def explain(self, error, block, pid):
        name = error.error()
        if block and name == ERROR + "NoSuchObject":
            return f"QEMU {pid}: no shared memory for block {block.name} (memory-backend-memfd, share=on)"
        if block and name == ERROR + "SeveralObjects":
            return f"QEMU {pid}: several blocks of this name: use --qmp, with QEMU 8 or later"
        if name == ERROR + "NoSuchProcess":
            return f"process {error.parameters()['pid']}: no such process"
        if name == ERROR + "NotPermitted":
            return f"the service says that you may not ask this: {error.parameters()['rule']}"
        return f"the service says {name} {json.dumps(error.parameters(), separators=(',', ':'))}"


# ---- looks -----------------------------------------------------------------------------------


def swapped_in(pid):
    """Pages swapped in by the whole system, and major faults of QEMU."""
    with open("/proc/vmstat", encoding="ascii") as file:
        pages = next((int(line.split()[1]) for line in file if line.startswith("pswpin ")), 0)
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return pages, int(file.read().rpartition(")")[2].split()[9])
    except OSError as error:
        raise Complaint(f"process {pid}: {error.strerror}") from None


def runs(bits):
    """First bit and number of bits of each run of ones."""
    for match in re.finditer("1+", f"{bits:b}"[::-1]):
        yield match.start(), match.end() - match.start()


def ranges(block, page_size):
    """Ranges of swapped bytes: address in the guest or None, offset in the block, length."""
    for piece in block.pieces:
        part = block.swapped >> piece.offset // page_size & (1 << piece.size // page_size) - 1
        for first, count in runs(part):
            at = first * page_size
            yield (None if piece.address is None else piece.address + at, piece.offset + at, count * page_size)


class Totals:
    """Bytes, over all blocks."""

    def __init__(self):
        self.states = {}
        self.went_out = self.came_in = 0
        self.stable = True

    def add(self, block, reply, bits):
        size = reply["pageSize"]
        for state, pages in reply["counts"].items():
            self.states[state] = self.states.get(state, 0) + pages * size
        if block.swapped is not None:
            self.went_out += (bits & ~block.swapped).bit_count() * size
            self.came_in += (block.swapped & ~bits).bit_count() * size
        block.swapped = bits
        self.stable = self.stable and reply["stable"]


def look(service, pid, blocks, title, show_ranges):
    before = swapped_in(pid)
    first = blocks[0].swapped is None
    total, found = Totals(), []
    for block in blocks:
        reply, bits = service.look(block.selector)
        total.add(block, reply, bits)
        found += [(block, *piece) for piece in ranges(block, reply["pageSize"])]
    after = swapped_in(pid)
    print_look(title, total, len(found), first)
    print(f"  swapped in meanwhile  {after[0] - before[0]} pages in the whole system, "
          f"{after[1] - before[1]} major faults of QEMU")
    for block, address, offset, length in found if show_ranges else []:
        if address is None:
            print(f"  swapped, not seen by the guest  {block.name} {offset:#x}-{offset + length - 1:#x}")
        else:
            print(f"  swapped  {address:#018x}-{address + length - 1:#018x}")
    sys.stdout.flush()


def print_look(title, total, n_ranges, first):
    state = total.states
    in_ram = sum(state[name] for name in ("allocated", "present", "swap_cache", "in_core"))
    print(f"{title}, {'stable' if total.stable else 'not stable: pages moved meanwhile'}")
    print(f"  can stay on swap      {state['swapped']} bytes in {n_ranges} ranges")
    print(f"  else dragged in       {state['swapped']} bytes from swap, "
          f"{state['hole']} bytes of zeros for holes")
    print(f"  in RAM                {in_ram} bytes, of which {state['swap_cache']} on swap too")
    if state["poisoned"]:
        print(f"  lost                  {state['poisoned']} bytes")
    if state["unknown"]:
        print(f"  unknown               {state['unknown']} bytes")
    if not first:
        print(f"  since the last look   {total.went_out} bytes went out, {total.came_in} came in")


def look_while_stopped(qmp, *arguments):
    """Signals wait until the guest runs again."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    was_running = qmp.call("query-status")["running"]
    if was_running:
        qmp.call("stop")
    try:
        look(*arguments)
    finally:
        if was_running:
            qmp.call("cont")
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- the command -----------------------------------------------------------------------------


def number(least, most=INT32_MAX):
    def parse(text):
        value = int(text) if re.fullmatch("[0-9]+", text) else -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {least} to {most}")
        return value
    return parse


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(1, f"migration-agent: {message.removeprefix('argument ')}\n")


def arguments():
    parser = Parser(prog="migration-agent", description="Tells what of a QEMU guest's RAM is on swap.")
    parser.add_argument("--qmp", metavar="PATH", help="QEMU's QMP socket")
    parser.add_argument("--pid", type=number(1), help="QEMU's process, if there is no such socket")
    parser.add_argument("--below-4g", type=number(1, ABOVE), metavar="BYTES",
                        help="RAM below 4 GiB, if QEMU cannot be asked")
    parser.add_argument("--socket", metavar="PATH", default="/run/shmstate/io.shmstate",
                        help="shmstated's socket (default %(default)s)")
    parser.add_argument("--rounds", type=number(0), default=1, metavar="N",
                        help="looks while the guest runs (default %(default)s)")
    parser.add_argument("--interval", type=number(0), default=1, metavar="SECONDS",
                        help="time between two (default %(default)s)")
    parser.add_argument("--ranges", action="store_true", help="print the swapped ranges, by guest address")
    options = parser.parse_args()
    if not options.qmp and not options.pid:
        parser.error("say which guest: --qmp=PATH or --pid=PID")
    return options


def find_blocks(options, service, qmp, pid):
    if qmp:
        blocks = blocks_by_qmp(qmp, pid)
    else:
        blocks = [Block("memory-backend-memfd", by_address(pid, None), [])]
    total = 0
    for block in blocks:
        found = service.find(block, pid)
        if not qmp:
            below = options.below_4g or bytes_below_4g(pid, found["size"])
            block.pieces = blocks_by_pid(pid, found["size"], below)[0].pieces
        block.cover(found["size"])
        block.selector = {"pid": pid, "id": found["object"]}
        total += found["size"]
        print(f"block {block.name}: object {found['object']}, {found['size']} bytes")
        for piece in block.pieces:
            if piece.address is not None:
                print(f"  guest  {piece.address:#018x}-{piece.address + piece.size - 1:#018x} "
                      f"is at {piece.offset:#x}")
    print(f"QEMU {pid}: {total} bytes of RAM", flush=True)
    return blocks


def main():
    options = arguments()
    try:
        qmp = Qmp(options.qmp) if options.qmp else None
        pid = options.pid or qmp.peer()
        service = Service(options.socket)
        blocks = find_blocks(options, service, qmp, pid)
        for turn in range(options.rounds):
            time.sleep(options.interval if turn else 0)
            look(service, pid, blocks, f"look {turn + 1}", options.ranges)
        if qmp:
            look_while_stopped(qmp, service, pid, blocks, "guest stopped", options.ranges)
    except Complaint as complaint:
        sys.exit(f"migration-agent: {complaint}")
    except OSError as error:
        sys.exit(f"migration-agent: {options.qmp or options.socket}: {error.strerror or error}")


if __name__ == "__main__":
    main()
